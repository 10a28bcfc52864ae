"""The ticks of an application: the newest minute that had one, and the gaps between them."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Boolean, ColumnElement, Double, and_, bindparam, case, func, null, or_

from pyramid_cron.schedules import clock
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import NOW, Dialect
from pyramid_cron.store.schema import NEEDS_ATTENTION, gaps, tasks, ticks
from pyramid_cron.store.task_conditions import THIS_MINUTE, may_owe, of_minute

# the database's clock must have reached it
EARLIEST: BindParameter[float] = bindparam('earliest', type_=Double())
NOTHING_DUE = bindparam('nothing_due', type_=Boolean())
MINUTE_BEFORE = bindparam('minute_before_this', type_=ticks.c.last_minute.type)
THIS_PROBLEM = bindparam('this_problem', type_=ticks.c.problem.type)
IN_TIME = NOW >= EARLIEST
# until the end of the transaction, which is that of the statement. The row of a tick is not worth a wait for the disk:
# lost with the machine, it makes a gap of a minute
DOES_NOT_WAIT_FOR_DISK = func.set_config('synchronous_commit', 'off', True)
#: the newest minute that had a tick as a value for a statement
LAST_MINUTE = StoreConnection.select(ticks, ticks.c.last_minute).scalar_subquery()


class Tick(NamedTuple):
    """The row of an application's ticks after one more.

    :param last: the newest minute that had a tick.
    :param before: the newest before that one, ``None`` if there was none.
    :param attention: whether a task is claimed, is to run once more, or may owe a minute.
    :param clock: the database's clock, in seconds since 1970.
    :param taken_back_from: the newest minute before it was taken back, ``None`` if it was not.
    :param pruned: the minute after which old records were last deleted, ``None`` if none were.
    :param stopped_after: the last tick before the ticks stopped, if that is reported and none has come since.
    """

    last: datetime
    before: datetime | None
    attention: bool
    clock: float
    taken_back_from: datetime | None = None
    pruned: datetime | None = None
    stopped_after: datetime | None = None

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
        values = of_tick(minute, most_ahead, nothing_due)
        if not connection.dialect.has_upsert and connection.execute(_update(), values) == 0:
            connection.execute(_insert_new(connection.dialect), values)
        rows = connection.rows(_record(connection.dialect), values)
        return Tick(*rows[0]) if rows else self.refused(minute)

    def refused(self, minute: datetime) -> Tick:
        """Return what stands for a tick that was not recorded, because its minute is too far ahead."""
        return Tick(minute, None, False, self._connection.clock())

    def finish(self, minute: datetime, problem: str | None) -> None:
        """Record that a tick has done its work, or what it could not do. A tick that came after it decides.

        :param problem: what could not be done, ``None`` if all is done.
        """
        waits = not self._connection.dialect.has_writing_ctes
        self._connection.execute(_finish(problem is None, waits), of_finish(minute, problem))

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

    def gap_at(self, minute: datetime) -> Gap | None:
        """Return the gap that a minute is in, ``None`` if it is in none."""
        query = self._connection.select(gaps, gaps.c.first_minute, gaps.c.last_minute, gaps.c.problem)
        newest = query.where(gaps.c.first_minute <= minute).order_by(gaps.c.first_minute.desc()).limit(1)
        return next((Gap(*row) for row in self._connection.rows(newest) if row.last_minute >= minute), None)

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


def of_tick(minute: datetime, most_ahead: float, nothing_due: bool) -> dict[str, Any]:
    """Return the parameters of the statement that records a tick, see :meth:`Ticks.record`."""
    return of_minute(minute) | {
        MINUTE_BEFORE.key: minute - clock.MINUTE,
        EARLIEST.key: minute.timestamp() - most_ahead,
        NOTHING_DUE.key: nothing_due,
    }


@cache
def _record(dialect: Dialect) -> Any:
    """Return the statement that records a tick and returns its row, or that only returns it where none does both."""
    if not dialect.has_upsert:
        return StoreConnection.select(ticks, *columns()).where(IN_TIME)
    return upsert(dialect).returning(*columns())


def columns() -> list[Any]:
    """Return the columns of a :class:`Tick`."""
    return [
        ticks.c.last_minute,
        ticks.c.minute_before,
        _attention().label('attention'),
        NOW.label('clock'),
        ticks.c.taken_back_from,
        ticks.c.pruned_minute,
        ticks.c.stopped_after,
    ]


def upsert(dialect: Dialect) -> Any:
    """Return the statement that records a tick, for a database that has one for that."""
    inserted = dialect.insert(ticks).from_select(['app', 'last_minute'], _new())
    return inserted.on_conflict_do_update(index_elements=['app'], set_=dict(_recorded()))


@cache
def _update() -> Any:
    return StoreConnection.update(ticks).where(IN_TIME).ordered_values(*_recorded())


@cache
def _insert_new(dialect: Dialect) -> Any:
    return dialect.insert_new(ticks).from_select(['app', 'last_minute'], _new())


def _new() -> Any:
    return StoreConnection.select_new(THIS_MINUTE).where(IN_TIME)


def _attention() -> ColumnElement[bool]:
    exists = StoreConnection.exists(tasks)
    return exists.where(NEEDS_ATTENTION) | exists.where(may_owe())


def _recorded() -> list[tuple[str, Any]]:
    newer = ticks.c.last_minute < THIS_MINUTE
    one_minute_later = ticks.c.last_minute >= MINUTE_BEFORE
    done = and_(newer, NOTHING_DUE, ~_attention(), one_minute_later)
    # in this order, because MySQL assigns from the left to the right
    return [
        ('done_minute', case((done, THIS_MINUTE), else_=ticks.c.done_minute)),
        ('problem', case((done, null()), else_=ticks.c.problem)),
        ('minute_before', case((newer, ticks.c.last_minute), else_=ticks.c.minute_before)),
        ('last_minute', case((newer, THIS_MINUTE), else_=ticks.c.last_minute)),
    ]


@cache
def finish(is_done: bool) -> Any:
    """Return the statement that records that a tick has done its work, or what it could not do.

    Its parameters are :data:`THIS_MINUTE` and :data:`THIS_PROBLEM`.
    """
    is_newest = ticks.c.last_minute <= THIS_MINUTE
    values: dict[str, Any] = {'problem': case((is_newest, THIS_PROBLEM), else_=ticks.c.problem)}
    if is_done:
        older = or_(ticks.c.done_minute.is_(None), ticks.c.done_minute < THIS_MINUTE)
        # not that of a tick that was taken back meanwhile
        done = and_(older, ticks.c.last_minute >= THIS_MINUTE)
        values['done_minute'] = case((done, THIS_MINUTE), else_=ticks.c.done_minute)
    return StoreConnection.update(ticks).values(values)


@cache
def _finish(is_done: bool, waits: bool) -> Any:
    return finish(is_done) if waits else finish(is_done).returning(DOES_NOT_WAIT_FOR_DISK)


def of_finish(minute: datetime, problem: str | None = None) -> dict[str, Any]:
    """Return the parameters of :func:`finish`."""
    return {THIS_MINUTE.key: minute, THIS_PROBLEM.key: problem}
