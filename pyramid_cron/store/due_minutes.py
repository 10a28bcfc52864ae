"""The fate of each due minute of a span, by the records of its runs. Pure: no statement is executed."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from pyramid_cron.history_entries import BACKFILL
from pyramid_cron.outcomes import OK, QUEUED, RUNNING, SKIPPED, STOPPED
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.nearest import until
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.store.joining import EMPTY, PARTLY, WHOLE

# what became of a minute, beside the outcomes of a minute that was not ok. Good ones first
COMMITTED_ONCE, NOTHING_TO_DO = 'committed once', 'nothing to do'
# ok, and no proof that its effect was committed once
TWICE, IN_PARTS, NOT_SURE, NOT_JOINED, NOTHING_COMMITTED = (
    'ok more than once',
    'committed in parts',
    'committed after an attempt that may have left something',
    'ok, not joined',
    'ok, nothing committed',
)
# without a record
NO_TICK, NOT_RUN_YET, NO_RECORD, UNKNOWN = 'no tick yet', 'not run yet', 'no record', 'before the records'
# not decided yet: a run has begun or is queued, or the tick of the minute may still claim one
IN_PROGRESS, AWAITS_TICK = 'in progress', 'waiting for its tick'
UNDECIDED = (IN_PROGRESS, AWAITS_TICK)
# a run for a minute at which the schedule was not due
NOT_DUE = 'ran, and was not due'

GOOD = (COMMITTED_ONCE, NOTHING_TO_DO)
OK_WITHOUT_PROOF = (TWICE, IN_PARTS, NOT_SURE, NOT_JOINED, NOTHING_COMMITTED)

# of which it is not known, or not decided, that nothing was committed
NOT_COVERED = (*GOOD, *OK_WITHOUT_PROOF, NO_TICK, NOT_RUN_YET, NO_RECORD, UNKNOWN, *UNDECIDED, NOT_DUE)

# how long the tick of a minute may take to claim its run
TICK_TIME = 2 * clock.MINUTE


class Record(NamedTuple):
    """A run of a task in the history, or the record that it did not run for a minute.

    :param minute: the minute that it was for, in UTC; ``None`` for a run by name.
    :param outcome: its outcome.
    :param attempt: how many times it had then begun for this minute; 0 if it did not begin.
    :param trigger: as of a :class:`.PastRun`.
    :param started: when it began, or when it was recorded.
    :param joined: how far its effect is one commit with the record, a word of :mod:`.joining`; ``None`` if not known.
    :param requested_by: the user that requested it, if known.
    :param reason: why it did not run, or not to its end.
    :param error: the class of the exception that it raised.
    """

    minute: datetime | None
    outcome: str
    attempt: int
    trigger: str
    started: datetime
    joined: str | None = None
    requested_by: str | None = None
    reason: str | None = None
    error: str | None = None


class Period(NamedTuple):
    """A time in which one schedule counted.

    :param first: its first minute, in UTC.
    :param last: its last one.
    :param schedule: the schedule.
    :param zone: its time zone, ``None`` for the machine's.
    """

    first: datetime
    last: datetime
    schedule: Schedule
    zone: tzinfo | None


class Knowledge(NamedTuple):
    """What is known of a task beside the records of its runs. Instants are in UTC.

    :param periods: the schedules that are known, the earliest first, one after another.
    :param owed_from: the first minute that the task owed to its ticks.
    :param settled: the newest minute up to which the task owes none.
    :param recorded_from: from when on each record of a due minute is kept.
    :param now: the present.
    :param last_tick: the newest minute that had a tick, ``None`` if there is none.
    """

    periods: Sequence[Period]
    owed_from: datetime
    settled: datetime
    recorded_from: datetime
    now: datetime
    last_tick: datetime | None = None

    @property
    def scheduled_from(self) -> datetime:
        """From when on the schedule is known; never, if none can be read."""
        return self.periods[0].first if self.periods else self.now


class Minute(NamedTuple):
    """What became of a minute.

    :param minute: the minute, in UTC.
    :param fate: one of the words of this module, or the outcome of a run that was not ok.
    :param attempts: how many runs began for it.
    :param late: whether the run that was ok began after its minute: caught up, tried again, or on request.
    :param backfill: whether that run was requested for the past minute.
    :param requested_by: the user of that request, if known.
    :param left: whether something of another attempt than the one that was ok may have been committed.
    :param reason: why it did not run, or the class of the exception that it raised.
    :param covered_by: of a minute of which nothing was committed: the next minute for which a run by schedule was
        committed, by its ``since`` the first one after it.
    :param shifted: whether it stands for a time on the clock that was skipped when the clocks changed.
    """

    minute: datetime
    fate: str
    attempts: int = 0
    late: bool = False
    backfill: bool = False
    requested_by: str | None = None
    left: bool = False
    reason: str | None = None
    covered_by: datetime | None = None
    shifted: bool = False


class Account(NamedTuple):
    """What became of the due minutes of a span.

    :param first: the first minute of the span, in UTC.
    :param last: the last one.
    :param minutes: the minutes, the earliest first; those among them for which the task was not due, too.
    :param by_name: how many runs by name began in that time.
    :param knowledge: what is known of the task.
    """

    first: datetime
    last: datetime
    minutes: Sequence[Minute]
    by_name: int
    knowledge: Knowledge

    @property
    def due(self) -> list[Minute]:
        """The minutes at which the task was due, as far as that is decided."""
        return [minute for minute in self.minutes if minute.fate not in (*UNDECIDED, NOT_DUE)]

    @property
    def counts(self) -> Counter[str]:
        """How many minutes have each fate."""
        return Counter(minute.fate for minute in self.minutes)

    @property
    def unknown_until(self) -> datetime | None:
        """Until when it is not known what was due or what became of it, ``None`` if all of the span is known.

        A task owes nothing from before its first tick. Where it has records from before that, it was not registered for
        a while.
        """
        known, unknown = self.knowledge, []
        if any(minute.minute < known.owed_from for minute in self.minutes):
            unknown.append(known.owed_from)
        if max(self.first, known.owed_from) < known.scheduled_from:
            unknown.append(known.scheduled_from)
        if any(minute.fate == UNKNOWN for minute in self.minutes):
            unknown.append(known.recorded_from)
        return max(unknown, default=None)

    @property
    def is_good(self) -> bool:
        """Whether it is shown for each due minute that it was committed once, or that there was nothing to do."""
        is_decided = all(minute.fate in (*GOOD, *UNDECIDED) for minute in self.minutes)
        return is_decided and self.unknown_until is None


def due_in(knowledge: Knowledge, first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the minutes from one to another that a task owed to its ticks, by the schedules that it had then."""
    return due_by(knowledge.periods, max(first, knowledge.owed_from), last)


def due_by(periods: Sequence[Period], first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the minutes from one to another at which a task was due, by the schedules that it had then."""
    for period in periods:
        begin = max(first, period.first)
        if begin <= min(last, period.last):
            before = clock.to_wall(begin - clock.MINUTE, period.zone).replace(tzinfo=period.zone)
            yield from until(min(last, period.last), period.schedule.runs(before))


def account(knowledge: Knowledge, records: Collection[Record], first: datetime, last: datetime) -> Account:
    """Return what became of each due minute of a span.

    Each minute with a record counts as due where the schedule is not known.

    :param records: the records of the task for the minutes of the span, and of its runs by name in that time.
    :param first: the first minute, in UTC.
    :param last: the last one.
    """
    by_minute: dict[datetime, list[Record]] = {}
    for record in records:
        if record.minute is not None and first <= record.minute <= last:
            by_minute.setdefault(record.minute, []).append(record)
    due = set(due_in(knowledge, first, last))
    minutes = []
    for minute in sorted(due | by_minute.keys()):
        found = _fate(minute, sorted(by_minute.get(minute, ()), key=lambda record: record.started), knowledge)
        if minute in due:
            found = found._replace(shifted=_is_shifted(minute, knowledge.periods))
        elif minute >= max(knowledge.scheduled_from, knowledge.owed_from):
            if not found.attempts:
                # of a server with another schedule, in a deploy
                continue
            found = found._replace(fate=NOT_DUE)
        minutes.append(found)
    by_name = sum(record.minute is None and first <= record.started <= last + clock.MINUTE for record in records)
    return Account(first, last, _with_cover(minutes), by_name, knowledge)


def _fate(minute: datetime, records: Sequence[Record], knowledge: Knowledge) -> Minute:
    """Return what became of a minute.

    :param records: its records, in the order in which they began.
    """
    began = [record for record in records if record.attempt]
    good = [record for record in began if record.outcome == OK]
    if any(record.outcome in (RUNNING, QUEUED) for record in records):
        return Minute(minute, IN_PROGRESS, len(began))
    if good:
        return _of_good(minute, good, began)
    if not records:
        return Minute(minute, _without_record(minute, knowledge))
    last = (began or records)[-1]
    left = any(record.joined != WHOLE for record in began)
    fate = last.outcome
    if last.attempt and fate == SKIPPED:
        # the task has raised Skip
        fate = NOT_SURE if left else NOTHING_TO_DO
    return Minute(minute, fate, len(began), left=left, reason=last.error or last.reason)


def _of_good(minute: datetime, good: Sequence[Record], began: Sequence[Record]) -> Minute:
    """Return what became of a minute with a run that was ok.

    :param good: the runs that were ok.
    :param began: all runs.
    """
    run = good[-1]
    others = [record for record in began if record is not run]
    left = any(record.joined != WHOLE or record.outcome in (OK, STOPPED) for record in others)
    if len(good) > 1:
        fate = TWICE
    elif run.joined == PARTLY or any(record.outcome == STOPPED for record in others):
        fate = IN_PARTS
    elif run.joined == WHOLE:
        fate = NOT_SURE if left else COMMITTED_ONCE
    else:
        # APART, and what servers with older code have not recorded
        fate = NOTHING_COMMITTED if run.joined == EMPTY else NOT_JOINED
    is_backfill = run.trigger == BACKFILL
    late = clock.minute_of(run.started) > minute
    return Minute(minute, fate, len(began), late, is_backfill, run.requested_by if is_backfill else None, left)


def _without_record(minute: datetime, knowledge: Knowledge) -> str:
    if minute > knowledge.settled:
        if knowledge.now - minute <= TICK_TIME:
            return AWAITS_TICK
        return NO_TICK if knowledge.last_tick is None or knowledge.last_tick < minute else NOT_RUN_YET
    return NO_RECORD if minute >= knowledge.recorded_from else UNKNOWN


def _is_shifted(minute: datetime, periods: Sequence[Period]) -> bool:
    """Return whether a due minute stands for a time on the clock that was skipped just before it."""
    period = periods[bisect_right([period.first for period in periods], minute) - 1]
    if period.schedule.interval:
        return False
    return any(period.schedule.matches(wall) for wall in clock.wall_minutes(minute, period.zone).skipped)


def _with_cover(minutes: Sequence[Minute]) -> list[Minute]:
    """Return minutes with the next committed one of each of which nothing was committed."""
    found: list[Minute] = []
    following: datetime | None = None
    for minute in reversed(minutes):
        if minute.fate == COMMITTED_ONCE and not minute.backfill:
            following = minute.minute
        elif minute.fate not in NOT_COVERED and not minute.left:
            minute = minute._replace(covered_by=following)
        found.append(minute)
    return found[::-1]


def fates(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return how many minutes have each fate, the good ones first and the others by their number."""
    order = {fate: index for index, fate in enumerate((*GOOD, *OK_WITHOUT_PROOF))}
    return sorted(counts.items(), key=lambda item: (order.get(item[0], len(order)), -item[1], item[0]))
