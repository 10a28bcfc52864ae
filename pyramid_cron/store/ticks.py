"""The ticks of an application: the newest minute that had one, and the gaps between them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, NamedTuple

from sqlalchemy import and_, case, literal, null, or_

from pyramid_cron.schedules import clock
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import database_clock
from pyramid_cron.store.schema import NEEDS_ATTENTION, gaps, tasks, ticks
from pyramid_cron.store.task_rows import may_owe


class Tick(NamedTuple):
    """The row of an application's ticks after one more.

    :param last: the newest minute that had a tick.
    :param before: the newest before that one, ``None`` if there was none.
    :param attention: whether a task is claimed, is to run once more, or may owe a minute.
    :param clock: the database's clock, in seconds since 1970.
    :param taken_back_from: the newest minute before it was taken back, ``None`` if it was not.
    """

    last: datetime
    before: datetime | None
    attention: bool
    clock: float
    taken_back_from: datetime | None = None

    @property
    def now(self) -> datetime:
        """The instant of the tick by the database's clock."""
        return datetime.fromtimestamp(self.clock, timezone.utc)

    @property
    def future(self) -> datetime:
        """The instant from which on a minute in the store is one of a clock that was ahead."""
        return self.now + clock.THREE_HOURS


class TickState(NamedTuple):
    """What is known of an application's ticks.

    :param last: the newest minute that had a tick.
    :param done: the newest minute at which a tick did all of its work, ``None`` if none has.
    :param problem: what the last tick could not do, ``None`` if it could.
    :param before: the newest minute before ``last`` that had a tick, ``None`` if there was none.
    """

    last: datetime
    done: datetime | None
    problem: str | None
    before: datetime | None = None


class Gap(NamedTuple):
    """Minutes without a tick, one after another.

    :param first: the first of them, in UTC.
    :param last: the last of them.
    :param problem: why ticks failed that came in them, ``None`` if none is known to have come.
    """

    first: datetime
    last: datetime
    problem: str | None = None


class Ticks:
    """The row of an application's ticks, and the rows of its gaps.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def record(self, minute: datetime, most_ahead: float, nothing_due: bool = False) -> Tick:
        """Record a tick, in one statement where the database has one for that.

        :param most_ahead: seconds that the minute may be ahead of the database's clock; beyond them it is not recorded.
        :param nothing_due: whether no task is due by the code: then the tick is recorded as done, unless a row needs
            attention or a minute before it had no tick.
        """
        connection = self._connection
        attention = connection.exists(tasks).where(NEEDS_ATTENTION) | connection.exists(tasks).where(may_owe(minute))
        columns = (
            ticks.c.last_minute,
            ticks.c.minute_before,
            attention.label('attention'),
            database_clock().label('clock'),
            ticks.c.taken_back_from,
        )
        in_time = database_clock() >= minute.timestamp() - most_ahead
        # with its type, without which PostgreSQL would read it in the time zone of its own
        this_minute = literal(minute, ticks.c.last_minute.type)
        first = connection.select_new(this_minute).where(in_time)
        newer = ticks.c.last_minute < minute
        done = and_(newer, literal(nothing_due), ~attention, ticks.c.last_minute >= minute - clock.MINUTE)
        # in this order, because MySQL assigns from the left to the right
        values: dict[str, Any] = {
            'done_minute': case((done, this_minute), else_=ticks.c.done_minute),
            'problem': case((done, null()), else_=ticks.c.problem),
            'minute_before': case((newer, ticks.c.last_minute), else_=ticks.c.minute_before),
            'last_minute': case((newer, this_minute), else_=ticks.c.last_minute),
        }
        key = ['app', 'last_minute']
        if connection.dialect.insert is not None:
            inserted = connection.dialect.insert(ticks).from_select(key, first)
            kept = inserted.on_conflict_do_update(index_elements=['app'], set_=values).returning(*columns)
        else:
            changed = connection.update(ticks).where(in_time).ordered_values(*values.items())
            if connection.execute(changed) == 0:
                connection.execute(connection.dialect.insert_new(ticks).from_select(key, first))
            kept = connection.select(ticks, *columns).where(in_time)
        rows = connection.rows(kept)
        return Tick(*rows[0]) if rows else Tick(minute, None, False, connection.clock())

    def finish(self, minute: datetime, problem: str | None) -> None:
        """Record that a tick has done its work, or what it could not do. A tick that came after it decides.

        :param problem: what could not be done, ``None`` if all is done.
        """
        is_newest = ticks.c.last_minute <= minute
        shown = literal(problem, ticks.c.problem.type)
        values: dict[str, Any] = {'problem': case((is_newest, shown), else_=ticks.c.problem)}
        if problem is None:
            older = or_(ticks.c.done_minute.is_(None), ticks.c.done_minute < minute)
            # not that of a tick that was taken back meanwhile
            done = and_(older, ticks.c.last_minute >= minute)
            # with its type, as above
            this_minute = literal(minute, ticks.c.done_minute.type)
            values['done_minute'] = case((done, this_minute), else_=ticks.c.done_minute)
        self._connection.execute(self._connection.update(ticks).values(values))

    def state(self) -> TickState | None:
        """Return what is known of the ticks, ``None`` if there was none."""
        columns = ticks.c.last_minute, ticks.c.done_minute, ticks.c.problem, ticks.c.minute_before
        rows = self._connection.rows(self._connection.select(ticks, *columns))
        return TickState(*rows[0]) if rows else None

    def last_before(self, minute: datetime) -> datetime | None:
        """Return the newest minute before another one that is known to have had a tick, ``None`` if there is none."""
        query = self._connection.select(ticks, ticks.c.last_minute, ticks.c.minute_before)
        known = [instant for row in self._connection.rows(query) for instant in row if instant is not None]
        return max((instant for instant in known if instant < minute), default=None)

    def last_as_value(self) -> Any:
        """Return the newest minute that had a tick as a value for a statement."""
        return self._connection.select(ticks, ticks.c.last_minute).scalar_subquery()

    def take_back(self, tick: Tick, minute: datetime) -> bool:
        """Take the newest minute back to another one, and return whether no other process has."""
        values = {'last_minute': minute, 'minute_before': None, 'done_minute': minute, 'taken_back_from': tick.last}
        mine = self._connection.update(ticks).where(ticks.c.last_minute == tick.last)
        return self._connection.execute(mine, values) == 1

    def put_forward(self, tick: Tick, before: datetime) -> bool:
        """Record which minute had the tick before the newest one, and return whether no other process has."""
        mine = self._connection.update(ticks).where(ticks.c.taken_back_from == tick.taken_back_from)
        return self._connection.execute(mine, {'minute_before': before, 'taken_back_from': None}) == 1

    def record_gap(self, first: datetime, last: datetime, problem: str | None = None) -> bool:
        """Record minutes without a tick, and return whether no other process has.

        :param problem: why ticks failed that came in them, if that is known here.
        """
        known = self._connection.select(gaps, gaps.c.first_minute).where(gaps.c.first_minute == first)
        if self._connection.scalar(known) is None:
            new = self._connection.insert_new(gaps).values(first_minute=first, last_minute=last, problem=problem)
            return self._connection.execute(new) == 1
        if problem is not None:
            unknown = and_(gaps.c.first_minute == first, gaps.c.problem.is_(None))
            self._connection.execute(self._connection.update(gaps).where(unknown), {'problem': problem})
        return False

    def gaps(self, limit: int, since: datetime | None = None) -> list[Gap]:
        """Return the gaps that do not end before ``since``, the newest first."""
        query = self._connection.select(gaps, gaps.c.first_minute, gaps.c.last_minute, gaps.c.problem)
        if since is not None:
            query = query.where(gaps.c.last_minute >= since)
        newest = query.order_by(gaps.c.first_minute.desc()).limit(limit)
        return [Gap(*row) for row in self._connection.rows(newest)]

    def false_gap(self, tick: Tick) -> Gap | None:
        """Return the gap that begins at the latest with the next tick and ends in the future, ``None`` without one."""
        query = self._connection.select(gaps, gaps.c.first_minute, gaps.c.last_minute, gaps.c.problem)
        query = query.where(gaps.c.first_minute <= tick.now + clock.MINUTE, gaps.c.last_minute >= tick.future)
        rows = self._connection.rows(query.order_by(gaps.c.first_minute))
        return Gap(*rows[0]) if rows else None

    def delete_gap(self, gap: Gap) -> None:
        """Delete a gap."""
        self._connection.execute(self._connection.delete(gaps).where(gaps.c.first_minute == gap.first))

    def prune(self, before: datetime) -> None:
        """Delete the gaps that end before an instant."""
        self._connection.execute(self._connection.delete(gaps).where(gaps.c.last_minute < before))
