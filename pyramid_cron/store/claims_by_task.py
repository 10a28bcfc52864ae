"""Chooses the claims by the task: those of the store, or those of this process for ``store=False``."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from pyramid_cron.claims import Claims, Delivery, Found
from pyramid_cron.memory_claims import MemoryClaims
from pyramid_cron.tasks import Tasks


class ClaimsByTask:
    """The claims of an application with a store, see :class:`.Claims`.

    Without the database, tasks with ``store=False`` still run.

    :param in_store: the claims of the store.
    :param in_memory: the claims of this process.
    """

    def __init__(self, in_store: Claims, in_memory: MemoryClaims) -> None:
        self.in_store = in_store
        self.in_memory = in_memory

    def due(self, tasks: Tasks, instant: datetime, trigger: str) -> Found:
        found = self.in_store.due(tasks, instant, trigger)
        free = self.in_memory.runs([task for task in tasks.due(instant) if not task.store], instant)
        return found._replace(runs=sorted([*free, *found.runs], key=lambda run: run.task.position))

    def named(
        self, tasks: Tasks, names: Collection[str], requested_by: str | None = None, enqueue: bool = False
    ) -> Found:
        wanted = tasks.named(names)
        stored = [task.name for task in wanted if task.store]
        found = self.in_store.named(tasks, stored, requested_by, enqueue) if stored else Found([])
        free = self.in_memory.named(tasks, [task.name for task in wanted if not task.store], requested_by, enqueue)
        return found._replace(runs=sorted([*free.runs, *found.runs], key=lambda run: wanted.index(run.task)))

    def delivered(self, tasks: Tasks, delivery: Delivery, catch_up: timedelta) -> Found:
        [task] = tasks.named([delivery.task])
        claims: Claims = self.in_store if task.store else self.in_memory
        return claims.delivered(tasks, delivery, catch_up)
