"""The values of the pages of the history, and its entries by their days."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, tzinfo
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.history_entries import ActionEntry, PastRun
from pyramid_cron.monitoring.problem import NO_TICK
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.outcomes import MISSED
from pyramid_cron.run_addresses import RunLink
from pyramid_cron.schedules import clock
from pyramid_cron.status.attention import describe_gap
from pyramid_cron.status.formatting import STYLES, FormattedRun, format_action, format_run, format_span, format_time
from pyramid_cron.status.history_form import OUTCOMES, REQUESTED_BY, FormError, HistoryForm, write_place
from pyramid_cron.status.history_queries import read_history
from pyramid_cron.summaries import due_between
from pyramid_cron.task_summary import LOCAL_TIME

if TYPE_CHECKING:
    from pyramid_cron.store.queries import Entry, Missed
    from pyramid_cron.store.ticks import Gap

# names of the tasks that were due in a gap
MAX_NAMES = 6


class DatedEntry(NamedTuple):
    """An entry of the history.

    :param task: the name of its task; empty for what concerns all tasks.
    :param run: the entry.
    :param time: its time of day.
    """

    task: str
    run: FormattedRun
    time: str


class Day(NamedTuple):
    """The entries of one day.

    :param text: the day.
    :param entries: the entries, the newest first.
    """

    text: str
    entries: Sequence[DatedEntry]


class HistoryValues(NamedTuple):
    """The values of the page.

    :param form: what it is limited to.
    :param outcomes: the choices for outcomes, as values and texts.
    :param triggers: the choices for what has requested a run.
    :param zone: the time zone of all times.
    :param has_store: whether there is a store.
    :param errors: what is wrong with the request or the store.
    :param names: the names of the tasks that it is about, if these are several.
    :param registered: the names of the tasks that have a page.
    :param days: the entries by their days, the newest first.
    :param older: the query of the next page; empty if nothing is older.
    :param looked_until: until when the page has looked in vain; empty if it has entries or nothing is older.
    :param is_newest: whether no page is newer.
    """

    form: HistoryForm
    outcomes: Sequence[tuple[str, str]]
    triggers: Sequence[tuple[str, str]]
    zone: str
    has_store: bool
    errors: Sequence[str]
    names: Sequence[str] = ()
    registered: Collection[str] = ()
    days: Sequence[Day] = ()
    older: str = ''
    looked_until: str = ''
    is_newest: bool = True


def build_history_page(registry: Any, form: HistoryForm, now: datetime, zone: tzinfo | None) -> HistoryValues:
    """Return the values of the page that was requested.

    :param zone: the time zone of its times and days, ``None`` for the machine's.
    """
    form = form._replace(name=form.name.strip(), day=form.day.strip())
    has_store, errors = registry['cron_store'] is not None, list(form.errors())
    values = HistoryValues(
        form, list(OUTCOMES.items()), list(REQUESTED_BY.items()), str(zone or LOCAL_TIME), has_store, errors
    )
    if errors or not has_store:
        return values
    try:
        reading = read_history(registry, form.name, form.outcome, form.wanted_trigger, form.start(zone))
    except FormError as exc:
        return values._replace(errors=[str(exc)])
    if reading.error is not None:
        return values._replace(errors=[f'{reading.error}. The runs are not known'])
    entries, older = ((), None) if reading.page is None else reading.page
    dated = [(_task_of(entry), _format(entry, registry, now, reading.stuck, zone)) for entry in entries]
    return values._replace(
        names=reading.names if len(reading.names) > 1 else (),
        registered={task.name for task in registry['cron_tasks']},
        days=by_day(dated),
        older='' if older is None else form.query(day='', before=write_place(older)),
        looked_until='' if older is None or entries else format_time(older.at, now, zone).text,
        is_newest=not form.day and not form.before,
    )


def by_day(entries: Iterable[tuple[str, FormattedRun]]) -> list[Day]:
    """Return entries, each with the name of its task, by their days: those one after another of the same day."""
    days = []
    for iso, group in groupby(entries, lambda entry: entry[1].when.iso[:10]):
        of_day = [DatedEntry(task, run, run.when.iso[11:16]) for task, run in group]
        days.append(Day(f'{datetime.fromisoformat(iso):%a %Y-%m-%d}', of_day))
    return days


def format_missed(missed: Missed, now: datetime, zone: tzinfo | None) -> FormattedRun:
    """Return minutes that were missed together for display."""
    times = f'{missed.minutes} times, {format_span(missed.first, missed.last, now, zone)}'
    return FormattedRun(
        outcome=MISSED,
        symbol=STYLES[MISSED].symbol,
        css_class=STYLES[MISSED].css_class,
        when=format_time(missed.last, now, zone),
        took='',
        why=missed.reason or '',
        about=times if missed.minutes > 1 else '',
        traceback='',
        # the oldest one, after which the entry begins with the next
        minute=clock.to_instant(missed.first).isoformat(timespec='minutes'),
        others=missed.minutes > 1,
        link=RunLink(missed.task, missed.last),
    )


def _task_of(entry: Entry) -> str:
    name = getattr(entry, 'task', '')
    return '' if name == ALL_TASKS else name


def _format(
    entry: Entry, registry: Any, now: datetime, stuck: Collection[str | None], zone: tzinfo | None
) -> FormattedRun:
    # imported only where there is a store
    from pyramid_cron.store.ticks import Gap

    if isinstance(entry, ActionEntry):
        return format_action(entry, now, zone)
    if isinstance(entry, PastRun):
        return format_run(entry, now, entry.task in stuck, zone)
    if isinstance(entry, Gap):
        return _format_gap(entry, due_between(registry['cron_tasks'], entry.first, entry.last), now, zone)
    return format_missed(entry, now, zone)


def _format_gap(gap: Gap, due: Sequence[str], now: datetime, zone: tzinfo | None) -> FormattedRun:
    more = [f'{len(due) - MAX_NAMES} more'] if len(due) > MAX_NAMES else []
    then = f'due then: {", ".join([*due[:MAX_NAMES], *more])}' if due else 'nothing was due then'
    return FormattedRun(
        outcome=NO_TICK,
        symbol='!',
        css_class='warn' if due else 'quiet',
        when=format_time(gap.first, now, zone),
        took='',
        why='',
        about=f'{describe_gap(gap, now, zone)}; {then}',
        traceback='',
    )
