"""Refusals of scenario-svc."""

from contracts.problems.problem import Problem

PROBLEMS: tuple[Problem, ...] = ()
