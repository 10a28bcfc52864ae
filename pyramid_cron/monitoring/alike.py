"""Failures with the same class and message, which are shown once with the names of their tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyramid_cron.monitoring.problem import Problem
from pyramid_cron.outcomes import FAILED


def group_alike(problems: Iterable[Problem]) -> list[list[Problem]]:
    """Return problems in groups, in their order; only failures with the same class and message are more than one.

    A failure that is an alarm is not in a group with one that is none, and an acknowledged one, which has its own
    reason, in none with others.
    """
    groups: dict[object, list[Problem]] = {}
    for number, problem in enumerate(problems):
        is_known = problem.kind == FAILED and problem.error is not None and problem.acknowledged is None
        key = (problem.word, problem.error, problem.message) if is_known else number
        groups.setdefault(key, []).append(problem)
    return list(groups.values())


def describe_alike(group: Sequence[Problem]) -> str:
    """Return what several failures have in common: the class, how many they are, and the message."""
    first = group[0]
    counted = f'{first.error} \N{MULTIPLICATION SIGN} {len(group)}'
    return f'{counted}: {first.message}' if first.message else counted
