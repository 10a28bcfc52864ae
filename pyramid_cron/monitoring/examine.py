"""Examines an application: reads its rows, and finds what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyramid_cron.monitoring.problem import NO_TICK, Problem
from pyramid_cron.monitoring.problems import find_problems
from pyramid_cron.outcomes import STUCK

if TYPE_CHECKING:
    from pyramid_cron.store.snapshot import Snapshot


@dataclass(frozen=True)
class Examination:
    """The rows of an application, and what is wrong.

    :param snapshot: the rows.
    :param problems: the problems, the most urgent first.
    """

    snapshot: Snapshot
    problems: Sequence[Problem]

    @property
    def of_ticks(self) -> Problem | None:
        """The problem that ticks do not come, or fail; ``None`` if they do their work."""
        return next((problem for problem in self.problems if problem.task is None), None)

    @property
    def is_silent(self) -> bool:
        """Whether no tick comes."""
        return self.of_ticks is not None and self.of_ticks.kind == NO_TICK

    @property
    def stuck(self) -> set[str | None]:
        """The names of the tasks whose run in progress is stuck."""
        return {problem.task for problem in self.problems if problem.kind == STUCK}

    def each(self) -> list[Problem]:
        """Return the problems without those that each task has for a reason that is named once.

        That all tasks are paused is in the snapshot, and that no tick comes is a problem of its own.
        """
        return [
            problem for problem in self.problems if not (problem.is_of_all or (self.is_silent and problem.never_begun))
        ]

    def by_task(self) -> Mapping[str, tuple[Problem, ...]]:
        """Return the problems of each task that has some, by its name."""
        found: dict[str, tuple[Problem, ...]] = {}
        for problem in self.problems:
            if problem.task is not None:
                found[problem.task] = (*found.get(problem.task, ()), problem)
        return found


def examine(registry: Any, names: Collection[str] = ()) -> Examination:
    """Examine an application with a store.

    :param names: the names of the tasks to examine, all if there is none.
    :raises Unavailable: if the store is not available.
    """
    snapshot = registry['cron_store'].snapshot(names)
    problems = find_problems(snapshot, registry['cron_tasks'], registry['cron_settings'].window)
    if names:
        known = {*names, *map(snapshot.own_name, names)}
        problems = [problem for problem in problems if problem.task is None or problem.task in known]
    return Examination(snapshot, problems)
