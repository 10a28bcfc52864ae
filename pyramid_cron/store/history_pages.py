"""Pages of the history for people: filtered, and each read from where the one before it ended.

Entries have their places in the order in which they were recorded, which the indexes have. No page looks at more than
:data:`MOST_READ` runs of each of its readings, however rare what is looked for may be: the next page goes on there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, func, literal_column, or_

from pyramid_cron.history_entries import BACKFILL, BY_HAND, ActionEntry, PastRun
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.outcomes import FAILED, LOST, MISSED
from pyramid_cron.store.actions import COLUMNS
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.queries import Entry, Missed, when
from pyramid_cron.store.run_columns import JOINED, OUTCOME, PAST_RUN
from pyramid_cron.store.schema import FAULT, IS_BY_HAND, audit, gaps, runs, tasks
from pyramid_cron.store.ticks import Gap

# runs that one reading looks at, beside others that were recorded at the same instant as the last of them
MOST_READ = 20_000
# tasks that have a reading each; the runs of more are read with all others
MOST_NAMES = 8

#: what a person on call has to look at, in one word: failed, lost or missed
FAULTS = 'faults'
MANUAL = 'manual'
PLACE_OF_RUN = runs.c.started, runs.c.id

Conditions = list[ColumnElement[bool]]


class Position(NamedTuple):
    """The place of an entry among the others.

    :param at: when it was recorded.
    :param id: its id in its table, empty for a gap; of minutes that were missed together, the smallest one.
    """

    at: datetime
    id: str = ''


class Wanted(NamedTuple):
    """The entries that a page shows.

    :param names: those of these tasks; those of all if there is none.
    :param outcome: those with this outcome, or :data:`FAULTS`; empty for all.
    :param trigger: those with this trigger, or :data:`.BY_HAND` for what people did; empty for all.
    """

    names: Collection[str] = ()
    outcome: str = ''
    trigger: str = ''


class HistoryPage(NamedTuple):
    """One page.

    :param entries: its entries, the newest first.
    :param older: the place that the entries of the next page are before; ``None`` if nothing is older.
    """

    entries: Sequence[Entry]
    older: Position | None


class Found(NamedTuple):
    """The entries of one reading.

    :param entries: each with its place, the newest first.
    :param end: the place that it has looked at all entries from, if it has not found enough; ``None`` if it has, or if
        there are no more.
    """

    entries: Sequence[tuple[Position, Entry]]
    end: Position | None = None


class HistoryPages:
    """The history of an application in pages.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def read(self, wanted: Wanted, limit: int, before: Position | None = None) -> HistoryPage:
        """Return a page.

        :param limit: how many entries at most.
        :param before: the place that its entries are before; ``None`` for the newest.
        """
        names, outcome, trigger = wanted
        found = []
        if outcome != MISSED:
            triggers = (MANUAL, BACKFILL) if trigger == BY_HAND else (trigger,)
            found += [self._runs(one, outcome, of, limit + 1, before) for one in _one_by_one(names) for of in triggers]
        if outcome in ('', FAULTS, MISSED) and not trigger:
            found += [self._missed(one, limit + 1, before) for one in _one_by_one(names)]
        if not outcome and trigger in ('', BY_HAND):
            found.append(self._actions(names, limit + 1, before))
        if not any(wanted):
            found.append(self._gaps(limit + 1, before))
        return merge(found, limit)

    def known_tasks(self) -> list[str]:
        """Return the names of the tasks that the store has a row of."""
        return self._connection.scalars(self._connection.select(tasks, tasks.c.task))

    def _runs(self, names: Collection[str], outcome: str, trigger: str, limit: int, before: Position | None) -> Found:
        """Return runs of a task, or of several among those of all tasks."""
        indexed, others = self._conditions(names, outcome, trigger)
        indexed += _is_before(PLACE_OF_RUN, before)
        began = self._connection.select(runs, runs.c.app, runs.c.started).where(*indexed)
        read = began.order_by(runs.c.started.desc()).limit(MOST_READ).subquery()
        first = self._connection.select(read, func.min(read.c.started), func.count())
        [(since, number)] = self._connection.rows(first)
        if not number:
            return Found([])
        query = self._connection.select(runs, *PAST_RUN).select_from(JOINED)
        query = query.where(*indexed, *others, runs.c.started >= since)
        # both downwards: MySQL would read everything to sort it otherwise
        newest = query.order_by(*(column.desc() for column in PLACE_OF_RUN)).limit(limit)
        found = [PastRun(*row) for row in self._connection.rows(newest)]
        entries = [(Position(run.started, str(run.id)), run) for run in found]
        return Found(entries, Position(since) if len(entries) < limit and number == MOST_READ else None)

    def _conditions(self, names: Collection[str], outcome: str, trigger: str) -> tuple[Conditions, Conditions]:
        """Return the conditions of runs that an index looks for, and the others."""
        indexed, others = Conditions(), Conditions()
        if outcome in (FAULTS, FAILED, LOST):
            # an index has nothing else
            indexed.append(runs.c.not_good == FAULT)
        if outcome not in ('', FAULTS):
            others.append(OUTCOME.in_([outcome]))
        by_hand = trigger in (MANUAL, BACKFILL) and self._connection.dialect.has_partial_indexes
        if by_hand:
            # spelled out as in the index
            indexed += [IS_BY_HAND, runs.c.trigger == literal_column(f"'{trigger}'")]
        elif trigger:
            others.append(runs.c.trigger == trigger)
        if len(names) == 1:
            [name] = names
            # the name not as it is: SQLite would look at all runs of the task
            indexed.append(runs.c.task + '' == name if by_hand else runs.c.task == name)
        else:
            others += _of_names(runs, names)
        # minutes that are still missed are entries of another kind
        return indexed, [*others, or_(runs.c.outcome != MISSED, runs.c.made_good_by.is_not(None))]

    def _missed(self, names: Collection[str], limit: int, before: Position | None) -> Found:
        """Return minutes that were missed, those of a task that were recorded together as one entry."""
        of_task, minute = _of_names(runs, names), runs.c.scheduled_for
        is_missed = [*of_task, runs.c.not_good == MISSED]
        upto = [] if before is None else [runs.c.started <= before.at]
        records = self._connection.select(runs, runs.c.started).where(*is_missed, *upto).distinct()
        # one more, which may be that of the page before
        recorded = self._connection.scalars(records.order_by(runs.c.started.desc()).limit(limit + 1))
        if not recorded:
            return Found([])
        columns = runs.c.task, func.min(minute), func.max(minute), func.count(), runs.c.started, runs.c.reason
        query = self._connection.select(runs, *columns, func.min(runs.c.id))
        query = query.where(*is_missed, *upto, runs.c.started >= recorded[-1])
        query = query.group_by(runs.c.started, runs.c.task, runs.c.reason)
        found = [(Position(row[4], row[-1]), Missed(*row[:-1])) for row in self._connection.rows(query)]
        return Found(sorted((one for one in found if before is None or one[0] < before), reverse=True))

    def _actions(self, names: Collection[str], limit: int, before: Position | None) -> Found:
        place = audit.c.at, audit.c.id
        query = self._connection.select(audit, *COLUMNS, audit.c.id).where(*_is_before(place, before))
        if names:
            query = query.where(audit.c.task.in_([*names, ALL_TASKS]))
        rows = self._connection.rows(query.order_by(*(column.desc() for column in place)).limit(limit))
        actions = [(ActionEntry(*row[:-1]), row[-1]) for row in rows]
        return Found([(Position(action.at, action_id), action) for action, action_id in actions])

    def _gaps(self, limit: int, before: Position | None) -> Found:
        query = self._connection.select(gaps, gaps.c.first_minute, gaps.c.last_minute, gaps.c.problem)
        if before is not None:
            query = query.where(gaps.c.first_minute <= before.at)
        rows = self._connection.rows(query.order_by(gaps.c.first_minute.desc()).limit(limit + 1))
        found = [(Position(gap.first), gap) for gap in (Gap(*row) for row in rows)]
        return Found([one for one in found if before is None or one[0] < before])


def merge(found: Collection[Found], limit: int) -> HistoryPage:
    """Return the page of the newest entries of several readings.

    :param limit: how many at most; each reading has more than these, or an end, or is complete.
    """
    ends = [one.end for one in found if one.end is not None]
    # before it one of the readings has not looked
    end = max(ends) if ends else None
    entries = sorted((entry for one in found for entry in one.entries), key=lambda entry: entry[0], reverse=True)
    shown = [entry for entry in entries if end is None or entry[0] >= end]
    older = shown[limit - 1][0] if len(shown) > limit else end
    return HistoryPage(sorted((entry for _, entry in shown[:limit]), key=when, reverse=True), older)


def _is_before(place: Sequence[ColumnElement[Any]], before: Position | None) -> Conditions:
    if before is None:
        return []
    at, key = place
    # the first condition, for which there is an index, follows from the second
    return [at <= before.at, or_(at < before.at, key < before.id)]


def _of_names(table: Table, names: Collection[str]) -> Conditions:
    return [table.c.task.in_(names)] if names else []


def _one_by_one(names: Collection[str]) -> list[Collection[str]]:
    """Return a few names of tasks each on its own, and other numbers of them, none included, together."""
    return [[name] for name in dict.fromkeys(names)] if 0 < len(names) <= MOST_NAMES else [names]
