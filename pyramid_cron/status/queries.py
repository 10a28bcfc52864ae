"""The readings of the store that the status page shows. Without a store, they are empty."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.claims import Pause, Unavailable
from pyramid_cron.reports import PastRun

if TYPE_CHECKING:
    from pyramid_cron.store.queries import Gap, Missed

# how long a gap or a missed run needs attention
RECENT = timedelta(days=1)
MAX_RECENT = 200
# runs of a task in one strip, and on the page of the task
STRIP, HISTORY = 30, 50


class Snapshot(NamedTuple):
    """The state of all tasks in the store.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param last_tick: the newest minute that had a tick.
    :param last_runs: the last run of each task, by its name as those below.
    :param outcomes: the outcomes of its last runs, the newest last.
    :param pauses: the pauses in force.
    :param gaps: the recent minutes without a tick.
    :param missed: the runs that were missed recently.
    """

    has_store: bool = False
    error: str | None = None
    last_tick: datetime | None = None
    last_runs: Mapping[str, PastRun] = {}
    outcomes: Mapping[str, Sequence[str]] = {}
    pauses: Mapping[str, Pause] = {}
    gaps: Sequence[Gap] = ()
    missed: Sequence[Missed] = ()


class TaskHistory(NamedTuple):
    """The history of one task.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param pause: the pause of the task, if it is paused.
    :param entries: its runs and those that it missed, the newest first.
    """

    has_store: bool = False
    error: str | None = None
    pause: Pause | None = None
    entries: Sequence[PastRun | Missed | Gap] = ()


class MinuteRuns(NamedTuple):
    """The runs for one minute.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param runs: the recorded runs of each task, by its name.
    """

    has_store: bool = False
    error: str | None = None
    runs: Mapping[str, Sequence[PastRun]] = {}


def read_snapshot(registry: Any, now: datetime) -> Snapshot:
    """Read the state of all tasks."""
    claims = registry['cron_claims']
    if registry['cron_settings'].store is None:
        return Snapshot()
    # needs SQLAlchemy
    from pyramid_cron.store import queries

    app = claims.options.app
    try:
        with claims.reading() as connection:
            if connection is None:
                return Snapshot(has_store=True)
            snapshot = Snapshot(
                has_store=True,
                last_tick=queries.last_tick(connection, app),
                last_runs=queries.last_runs(connection, app),
                outcomes=queries.strips(connection, app, STRIP),
                gaps=queries.gaps_since(connection, app, MAX_RECENT, now - RECENT),
                missed=queries.missed(connection, app, MAX_RECENT, since=now - RECENT),
            )
        return snapshot._replace(pauses=claims.paused())
    except Unavailable as exc:
        return Snapshot(has_store=True, error=str(exc))


def read_task_history(registry: Any, name: str, faults: bool) -> TaskHistory:
    """Read the history of one task.

    :param faults: leave out runs that were neither lost nor failed nor missed.
    """
    claims = registry['cron_claims']
    if registry['cron_settings'].store is None:
        return TaskHistory()
    from pyramid_cron.store import queries

    app = claims.options.app
    try:
        with claims.reading() as connection:
            if connection is None:
                return TaskHistory(has_store=True)
            runs = queries.past_runs(connection, app, HISTORY, [name], faults=faults)
            missed = queries.missed(connection, app, HISTORY, [name])
        entries = queries.in_order(runs, missed, [], HISTORY)
        return TaskHistory(has_store=True, pause=claims.paused().get(name), entries=entries[::-1])
    except Unavailable as exc:
        return TaskHistory(has_store=True, error=str(exc))


def read_minute(registry: Any, names: Collection[str], minute: datetime) -> MinuteRuns:
    """Read the runs of tasks for a minute at which they were due."""
    claims = registry['cron_claims']
    if registry['cron_settings'].store is None:
        return MinuteRuns()
    from pyramid_cron.store import queries

    runs: dict[str, list[PastRun]] = {}
    try:
        with claims.reading() as connection:
            if connection is not None:
                for run in queries.for_minute(connection, claims.options.app, names, minute):
                    runs.setdefault(run.task, []).append(run)
    except Unavailable as exc:
        return MinuteRuns(has_store=True, error=str(exc))
    return MinuteRuns(has_store=True, runs=runs)


def last_manual_run(registry: Any, name: str, since: datetime) -> datetime | None:
    """Return when a task last began to run by hand, ``None`` if it did not since an instant or there is no store.

    :raises Unavailable: if the store cannot be read.
    """
    if registry['cron_settings'].store is None:
        return None
    from pyramid_cron.store import queries

    claims = registry['cron_claims']
    with claims.reading() as connection:
        return None if connection is None else queries.by_hand_since(connection, claims.options.app, name, since)
