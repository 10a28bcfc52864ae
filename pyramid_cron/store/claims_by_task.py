"""Chooses the claims by the task: those of the store, or those of this process for ``store=False``."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from pyramid_cron.claims import RUN_HERE, Backfill, ByHand, Claims, Delivery, Found
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
        return found._replace(runs=sorted([*free, *found.runs], key=lambda run: (run.turn, run.task.position)))

    def named(self, tasks: Tasks, names: Collection[str], by_hand: ByHand = RUN_HERE) -> Found:
        wanted = tasks.named(names)
        stored = [task.name for task in wanted if task.store]
        found = self.in_store.named(tasks, stored, by_hand) if stored else Found([])
        others = [task.name for task in wanted if not task.store]
        free = self.in_memory.named(tasks, others, by_hand)
        return found._replace(runs=sorted([*free.runs, *found.runs], key=lambda run: wanted.index(run.task)))

    def backfill(self, tasks: Tasks, backfill: Backfill, by_hand: ByHand = RUN_HERE) -> Found:
        claims = self._claims_of(tasks, backfill.task)
        return claims.backfill(tasks, backfill, by_hand)

    def delivered(self, tasks: Tasks, delivery: Delivery, catch_up: timedelta) -> Found:
        return self._claims_of(tasks, delivery.task).delivered(tasks, delivery, catch_up)

    def _claims_of(self, tasks: Tasks, name: str) -> Claims:
        [task] = tasks.named([name])
        return self.in_store if task.store else self.in_memory
