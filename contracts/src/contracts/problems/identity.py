"""Refusals of identity-svc."""

from contracts.problems.problem import Problem

PROBLEMS: tuple[Problem, ...] = ()
