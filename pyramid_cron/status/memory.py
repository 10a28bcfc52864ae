"""What the store remembers, as far as the page shows it. Without a store, nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.claims import Pause, Unavailable
from pyramid_cron.reports import PastRun

if TYPE_CHECKING:
    from pyramid_cron.store.queries import Gap, Missed

# how long ago something may be that needs attention by itself
RECENT = timedelta(days=1)
MOST_RECENT = 200
# runs of a task in one strip, and on the page of the task
STRIP, HISTORY = 30, 50


class Memory(NamedTuple):
    """What is remembered of all tasks.

    :param stored: whether there is a store.
    :param problem: why it cannot be asked.
    :param last_tick: the newest minute that had a tick.
    :param last_runs: the last run of each task, by its name as those below.
    :param strips: the statuses of the last runs, the newest last.
    :param paused: the pauses that last.
    :param gaps: the minutes without a tick of the last day.
    :param missed: what was missed in the last day.
    """

    stored: bool = False
    problem: str | None = None
    last_tick: datetime | None = None
    last_runs: Mapping[str, PastRun] = {}
    strips: Mapping[str, Sequence[str]] = {}
    paused: Mapping[str, Pause] = {}
    gaps: Sequence[Gap] = ()
    missed: Sequence[Missed] = ()


class TaskMemory(NamedTuple):
    """What is remembered of one task.

    :param stored: whether there is a store.
    :param problem: why it cannot be asked.
    :param pause: its pause, if it is paused.
    :param entries: its runs and what was missed, the newest first.
    """

    stored: bool = False
    problem: str | None = None
    pause: Pause | None = None
    entries: Sequence[PastRun | Missed | Gap] = ()


def recall(registry: Any, now: datetime) -> Memory:
    """Return what is remembered of all tasks."""
    claims = registry['cron_claims']
    if registry['cron_settings'].store is None:
        return Memory()
    # which needs SQLAlchemy
    from pyramid_cron.store import queries

    app = claims.options.app
    try:
        with claims.reading() as connection:
            if connection is None:
                return Memory(stored=True)
            memory = Memory(
                stored=True,
                last_tick=queries.last_tick(connection, app),
                last_runs=queries.last_runs(connection, app),
                strips=queries.strips(connection, app, STRIP),
                gaps=queries.gaps_since(connection, app, MOST_RECENT, now - RECENT),
                missed=queries.missed(connection, app, MOST_RECENT, since=now - RECENT),
            )
        return memory._replace(paused=claims.paused())
    except Unavailable as exc:
        return Memory(stored=True, problem=str(exc))


def recall_task(registry: Any, name: str, faults: bool) -> TaskMemory:
    """Return what is remembered of one task.

    :param faults: only of its runs that somebody has to hear of.
    """
    claims = registry['cron_claims']
    if registry['cron_settings'].store is None:
        return TaskMemory()
    from pyramid_cron.store import queries

    app = claims.options.app
    try:
        with claims.reading() as connection:
            if connection is None:
                return TaskMemory(stored=True)
            past = queries.past_runs(connection, app, HISTORY, [name], faults=faults)
            missed = queries.missed(connection, app, HISTORY, [name])
        entries = queries.in_order(past, missed, [], HISTORY)
        return TaskMemory(stored=True, pause=claims.paused().get(name), entries=entries[::-1])
    except Unavailable as exc:
        return TaskMemory(stored=True, problem=str(exc))


def recall_minute(registry: Any, names: Collection[str], minute: datetime) -> tuple[Mapping[str, list[PastRun]], str]:
    """Return what became of tasks in a minute in which they were due, and why that cannot be told, if it cannot."""
    claims = registry['cron_claims']
    found: dict[str, list[PastRun]] = {}
    if registry['cron_settings'].store is None:
        return found, ''
    from pyramid_cron.store import queries

    try:
        with claims.reading() as connection:
            if connection is not None:
                for run in queries.for_minute(connection, claims.options.app, names, minute):
                    found.setdefault(run.task, []).append(run)
    except Unavailable as exc:
        return {}, str(exc)
    return found, ''


def by_hand_since(registry: Any, name: str, since: datetime) -> datetime | None:
    """Return when a task last began because somebody asked for it, if that is known and was not before ``since``.

    :raises Unavailable: if the store cannot be asked.
    """
    if registry['cron_settings'].store is None:
        return None
    from pyramid_cron.store import queries

    claims = registry['cron_claims']
    with claims.reading() as connection:
        return None if connection is None else queries.by_hand_since(connection, claims.options.app, name, since)
