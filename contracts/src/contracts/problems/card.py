"""Refusals of card-svc."""

from contracts.problems.problem import Problem

PROBLEMS: tuple[Problem, ...] = ()
