"""The rows of an application at one instant, from which health, metrics, the page and ``pcron`` derive the problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pyramid_cron.claims import Pause
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import TickState

if TYPE_CHECKING:
    from pyramid_cron.tasks import Task


@dataclass(frozen=True)
class Snapshot:
    """The rows that decide what is wrong, as they are at one instant.

    :param states: the states of the application's tasks, by the names by which this process knows the tasks.
    :param ticks: what is known of the ticks, ``None`` if there was none.
    :param now: the instant, by the database's clock.
    :param pause_of_all: the pause of all tasks, if one is in force.
    :param catch_up: the setting ``cron.catch_up``, from which it follows how long queued runs wait for a worker.
    """

    states: Mapping[str, TaskState]
    ticks: TickState | None
    now: datetime
    pause_of_all: Pause | None = None
    catch_up: timedelta = timedelta(0)

    @property
    def last_tick(self) -> datetime | None:
        """The newest minute that had a tick, ``None`` if there was none."""
        return None if self.ticks is None else self.ticks.last

    def state_of(self, task: Task) -> TaskState | None:
        """Return the state of a task; ``None`` without one, and of ``store=False``: a row may be left from before."""
        return self.states.get(task.name) if task.store else None

    def own_names(self, names: Iterable[str]) -> dict[str, str]:
        """Return the names by which this process knows tasks, by all names that records of their runs may have.

        :param names: the names by which this process knows the tasks.
        """
        found = {name: name for name in names}
        for name in list(found):
            state = self.states.get(name)
            for other in () if state is None else state.other_names:
                found.setdefault(other, name)
        return found

    def own_name(self, name: str) -> str:
        """Return the name by which this process knows the task of a record, which may have another name of it."""
        return next((own for own, state in self.states.items() if name in state.other_names), name)
