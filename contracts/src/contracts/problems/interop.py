"""Refusals of interop-svc."""

from contracts.problems.problem import Problem

PROBLEMS: tuple[Problem, ...] = ()
