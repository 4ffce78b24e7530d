"""Refusals of payment-svc."""

from contracts.problems.problem import Problem

PROBLEMS: tuple[Problem, ...] = ()
