"""The readings of the store that the status page shows. Without a store, they are empty."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.errors import Unavailable
from pyramid_cron.history_entries import PastRun
from pyramid_cron.status.history_form import PEOPLE, HistoryForm
from pyramid_cron.tasks import Task

if TYPE_CHECKING:
    from pyramid_cron.monitoring.examine import Examination
    from pyramid_cron.monitoring.minute_results import MinuteResult
    from pyramid_cron.store.history_pages import Position
    from pyramid_cron.store.queries import Entry
    from pyramid_cron.store.run_lengths import RunLength
    from pyramid_cron.store.ticks import Gap

# how long a gap is shown
RECENT = timedelta(days=1)
MAX_RECENT = 200
# runs of a task in one strip, in the history on its page, and in the picture of how long they took
STRIP, HISTORY, LENGTHS = 30, 50, 60


class TasksState(NamedTuple):
    """The state of all tasks.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param examination: the rows of the tasks and what is wrong with them, ``None`` without a store that can be read.
    :param gaps: the recent minutes without a tick.
    """

    has_store: bool = False
    error: str | None = None
    examination: Examination | None = None
    gaps: Sequence[Gap] = ()


class TaskHistory(NamedTuple):
    """The state and the history of one task.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param examination: the row of the task and what is wrong with it, ``None`` without a store that can be read.
    :param entries: its runs, those that it missed, and what users did, the newest first.
    :param ok: those of their minutes for which a run was ok.
    :param app: the name of the application in the store.
    :param older: the place in the history that older entries are before; ``None`` if there are none.
    :param outcome: the outcome that the entries are limited to, see :class:`.HistoryForm`.
    :param trigger: the trigger, likewise.
    :param lengths: how long its last runs took, the newest last.
    """

    has_store: bool = False
    error: str | None = None
    examination: Examination | None = None
    entries: Sequence[Entry] = ()
    ok: Collection[datetime] = ()
    app: str = ''
    older: Position | None = None
    outcome: str = ''
    trigger: str = ''
    lengths: Sequence[RunLength] = ()


class MinuteReading(NamedTuple):
    """What became of one minute.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param results: the result of each task that was due, by its name.
    :param stuck: the names of the tasks whose run in progress is stuck.
    :param gap: the gap in the ticks that contains it, ``None`` if no gap does.
    :param last_tick: the newest minute that had a tick.
    """

    has_store: bool = False
    error: str | None = None
    results: Mapping[str, MinuteResult] = {}
    stuck: Collection[str | None] = ()
    gap: Gap | None = None
    last_tick: datetime | None = None


def read_tasks(registry: Any, now: datetime) -> TasksState:
    """Read the state of all tasks."""
    store = registry['cron_store']
    if store is None:
        return TasksState()
    from pyramid_cron.monitoring.examine import examine

    try:
        state = TasksState(has_store=True, examination=examine(registry))
        with store.queries() as queries:
            return state if queries is None else state._replace(gaps=queries.gaps(MAX_RECENT, now - RECENT))
    except Unavailable as exc:
        return TasksState(has_store=True, error=str(exc))


def read_outcomes(registry: Any, names: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """Read the outcomes of the last runs of tasks, the newest last; nothing if the store cannot be read.

    :param names: the names of the tasks by all names of their rows, see :meth:`.Snapshot.own_names`.
    """
    store = registry['cron_store']
    if store is None or not names:
        return {}
    try:
        with store.queries() as queries:
            found: Mapping[str, Sequence[str]] = {} if queries is None else queries.strips(STRIP, names.keys())
    except Unavailable:
        # the page has the reason from the readings before this one, or has it the next time
        return {}
    return {names[name]: outcomes for name, outcomes in found.items()}


def read_task_history(registry: Any, task: Task, faults: bool = False, by_hand: bool = False) -> TaskHistory:
    """Read the state and the history of one task.

    :param faults: leave out all but runs that were lost, failed or missed.
    :param by_hand: leave out all but what users did: actions such as a pause, and runs by name.
    """
    store = registry['cron_store']
    if store is None:
        return TaskHistory()
    from pyramid_cron.monitoring.examine import examine
    from pyramid_cron.store.history_pages import FAULTS, HistoryPages, Wanted
    from pyramid_cron.store.queries import Queries

    form = HistoryForm(task.name, FAULTS if faults else '', PEOPLE if by_hand else '')
    try:
        examination = examine(registry, [task.name])
        history = TaskHistory(has_store=True, examination=examination, app=store.options.app)
        with store.database.reading() as connection:
            if connection is None:
                return history
            names = [*examination.snapshot.own_names([task.name])]
            wanted = Wanted(names, form.outcome, form.wanted_trigger)
            entries, older = HistoryPages(connection).read(wanted, HISTORY)
            minutes = {entry.scheduled_for for entry in entries if isinstance(entry, PastRun) and entry.scheduled_for}
            ok = Queries(connection).ok_minutes(names, minutes)
            lengths = Queries(connection).run_lengths(names, LENGTHS)
    except Unavailable as exc:
        return TaskHistory(has_store=True, error=str(exc))
    return history._replace(
        entries=entries, ok=ok, older=older, outcome=form.outcome, trigger=form.trigger, lengths=lengths
    )


def read_minute(registry: Any, tasks: Collection[Task], minute: datetime) -> MinuteReading:
    """Read what became of a minute at which tasks are due."""
    store = registry['cron_store']
    if store is None:
        return MinuteReading()
    from pyramid_cron.monitoring.examine import examine
    from pyramid_cron.monitoring.minute_results import results_of

    try:
        examination = examine(registry)
        results = results_of(registry, tasks, minute, examination)
        with store.queries() as queries:
            gap = None if queries is None else queries.gap_at(minute)
    except Unavailable as exc:
        return MinuteReading(has_store=True, error=str(exc))
    return MinuteReading(
        has_store=True, results=results, stuck=examination.stuck, gap=gap, last_tick=examination.snapshot.last_tick
    )


def last_backfill(registry: Any, name: str, minute: datetime, since: datetime) -> datetime | None:
    """Return when a task of the store last began to run for a past minute, ``None`` if it did not since an instant.

    :raises Unavailable: if the store cannot be read.
    """
    began: datetime | None
    with registry['cron_store'].queries() as queries:
        began = None if queries is None else queries.backfilled_since(name, minute, since)
    return began


def last_manual_run(registry: Any, name: str, since: datetime) -> datetime | None:
    """Return when a task last began to run by hand, ``None`` if it did not since an instant or there is no store.

    :raises Unavailable: if the store cannot be read.
    """
    store = registry['cron_store']
    if store is None:
        return None
    began: datetime | None
    with store.queries() as queries:
        began = None if queries is None else queries.by_hand_since(name, since)
    return began
