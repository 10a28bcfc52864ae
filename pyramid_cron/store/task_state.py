"""The statements by which processes agree: on the row of a task, and on that of the ticks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, exists, literal, or_, select, update

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.decision import LOST, MOST_ATTEMPTS_OF_LOST, write_schedule
from pyramid_cron.store.schema import UPSERTS, database_clock, insert_new, pauses, processes, tasks, ticks
from pyramid_cron.tasks import Task

# names of tasks that one statement asks for; for more it asks for all
MOST_NAMES = 100

Row = Mapping[str, Any]
Rows = Mapping[str, Row]

HELD = tasks.c.run_id.is_not(None)


class Tick(NamedTuple):
    """What the row of an application's ticks says, once one more has come.

    :param last: the newest minute that had a tick.
    :param before: the newest before that one, ``None`` if there was none.
    :param attention: whether a task is running or is to be run once more.
    :param clock: the database's clock, in seconds since 1970.
    """

    last: datetime
    before: datetime | None
    attention: bool
    clock: float


def tick(connection: Connection, app: str, minute: datetime, most_ahead: float) -> Tick:
    """Take note of a tick, in one statement where the database can do that.

    :param most_ahead: seconds that the minute may be ahead of the database's clock to be taken note of.
    """
    attention = exists().where(tasks.c.app == app, or_(HELD, tasks.c.again.is_not(None)))
    told = ticks.c.last_minute, ticks.c.minute_before, attention.label('attention'), database_clock().label('clock')
    in_time = database_clock() >= minute.timestamp() - most_ahead
    # with its type, without which PostgreSQL would read it in the time zone of its own
    this_minute = literal(minute, ticks.c.last_minute.type)
    first = select(literal(app), this_minute).where(in_time)
    newer = ticks.c.last_minute < minute
    values = {
        'minute_before': case((newer, ticks.c.last_minute), else_=ticks.c.minute_before),
        'last_minute': case((newer, this_minute), else_=ticks.c.last_minute),
    }
    upsert = UPSERTS.get(connection.dialect.name)
    if upsert is not None:
        inserted = upsert(ticks).from_select(['app', 'last_minute'], first)
        kept = inserted.on_conflict_do_update(index_elements=['app'], set_=values).returning(*told)
    else:
        # MySQL assigns from the left to the right
        changed = update(ticks).where(ticks.c.app == app, in_time).ordered_values(*values.items())
        if connection.execute(changed).rowcount == 0:
            connection.execute(insert_new(connection, ticks).from_select(['app', 'last_minute'], first))
        kept = select(*told).where(ticks.c.app == app, in_time)
    row = connection.execute(kept).one_or_none()
    return Tick(minute, None, False, connection.scalars(select(database_clock())).one()) if row is None else Tick(*row)


def known(connection: Connection, app: str, names: Collection[str] | None) -> Rows:
    """Return the rows of tasks by their names, each with the process that has it, if one has.

    :param names: those to return, beside all that are running or are to be run once more; ``None`` for all.
    """
    query = (
        select(
            tasks,
            processes.c.host,
            processes.c.pid,
            processes.c.place,
            processes.c.born,
            (processes.c.lease_until < database_clock()).label('lease_over'),
            pauses.c.until.label('paused_until'),
            pauses.c.reason.label('pause_reason'),
            pauses.c.requested_by.label('paused_by'),
        )
        .select_from(
            tasks.outerjoin(processes, tasks.c.process == processes.c.id).outerjoin(
                pauses, and_(pauses.c.app == tasks.c.app, pauses.c.task == tasks.c.task)
            )
        )
        .where(tasks.c.app == app)
    )
    if names is not None and len(names) <= MOST_NAMES:
        query = query.where(or_(tasks.c.task.in_(names), HELD, tasks.c.again.is_not(None)))
    return {row['task']: dict(row) for row in connection.execute(query).mappings()}


def differ(wanted: Iterable[Task], rows: Mapping[str, Any]) -> bool:
    """Tell whether tasks or schedules of this process are not those of the rows."""
    return any(task.name not in rows or rows[task.name]['schedule'] != write_schedule(task) for task in wanted)


def deploy(connection: Connection, app: str, wanted: Iterable[Task], rows: Mapping[str, Any], minute: datetime) -> None:
    """Bring the rows to the tasks and schedules of this process.

    :param rows: what :func:`known` returned of these tasks.
    :param minute: from which on a task that is new is due, and a schedule that is new counts.
    """
    for task in wanted:
        row, schedule = rows.get(task.name), write_schedule(task)
        if row is None:
            connection.execute(
                insert_new(connection, tasks).values(
                    app=app,
                    task=task.name,
                    schedule=schedule,
                    # it is owed what comes later than this
                    since=minute - MINUTE,
                    attempt=0,
                    transactional=False,
                )
            )
        elif row['schedule'] != schedule and row['run_id'] is None:
            # while it runs its row is left alone: its own transaction may have to update it
            connection.execute(
                update(tasks)
                .where(_is(app, task.name), tasks.c.schedule == row['schedule'], ~HELD)
                .values(schedule=schedule, schedule_before=tasks.c.schedule, changed=minute)
            )


def take(connection: Connection, app: str, task: str, minute: datetime | None, attempt: int, **values: Any) -> bool:
    """Claim a task for a minute, or for none, and tell whether it was to be had.

    :param attempt: above 1 if it was begun for this minute before.
    :param values: the run, its process, and whether the run commits with its record.
    """
    free = and_(_is(app, task), ~HELD)
    if minute is not None:
        if attempt > 1:
            free = and_(free, tasks.c.last_minute == minute, tasks.c.again.is_not(None))
        else:
            free = and_(free, or_(tasks.c.last_minute.is_(None), tasks.c.last_minute < minute))
        values |= {'last_minute': minute, 'attempt': attempt, 'again': None}
    return _change(connection, free, **values)


def give_back(connection: Connection, app: str, task: str, run_id: str, **values: Any) -> bool:
    """End a run and tell whether it was still this one's: another token fences it off."""
    mine = and_(_is(app, task), tasks.c.run_id == run_id)
    ended = update(tasks).where(mine).values(run_id=None, process=None, queued=None, **values)
    return connection.execute(ended).rowcount == 1


def sent(connection: Connection, app: str, task: str, run_id: str) -> None:
    """Take note that a run was handed over and is in nobody's hands, unless somebody has begun it already."""
    mine = and_(_is(app, task), tasks.c.run_id == run_id)
    connection.execute(update(tasks).where(mine).values(process=None))


def begin_queued(connection: Connection, app: str, task: str, queued_id: str, **values: Any) -> bool:
    """Claim a run that was handed over, under a token of its own, and tell whether it was to be had.

    It waits for a lock on the row: that may be the one of who handed it over, and the run comes but once.

    :param queued_id: the token that it was handed over under.
    :param values: the run, and its process.
    """
    its = and_(_is(app, task), tasks.c.run_id == queued_id, tasks.c.queued.is_not(None))
    return connection.execute(update(tasks).where(its).values(queued=None, **values)).rowcount == 1


def give_up_queued(connection: Connection, app: str, task: str, queued_id: str) -> bool:
    """End a run that was handed over and nobody has begun, and tell whether it still was one."""
    its = and_(_is(app, task), tasks.c.run_id == queued_id, tasks.c.queued.is_not(None))
    return _change(connection, its, run_id=None, process=None, queued=None)


def lose(connection: Connection, app: str, task: str, run_id: str, **values: Any) -> bool:
    """End a run that has not come to its end, and tell whether there still was one.

    It is to be run once more if it was about to be handed over, or if nothing of it was committed, unless that was
    tried too often. That is decided by the row as it is now: the run may have committed something since it was read.
    """
    harmless = or_(tasks.c.queued.is_not(None), and_(tasks.c.transactional, tasks.c.attempt < MOST_ATTEMPTS_OF_LOST))
    its = and_(_is(app, task), tasks.c.run_id == run_id)
    again = case((harmless, LOST), else_=None)
    return _change(connection, its, run_id=None, process=None, queued=None, again=again, **values)


def last_tick_before(connection: Connection, app: str, minute: datetime) -> datetime | None:
    """Return the newest minute before another one that is known to have had a tick, or ``None``."""
    row = connection.execute(select(ticks.c.last_minute, ticks.c.minute_before).where(ticks.c.app == app)).one_or_none()
    return max((known for known in row or () if known is not None and known < minute), default=None)


def last_tick(app: str) -> Any:
    """Return the newest minute that had a tick, as a value for a statement."""
    return select(ticks.c.last_minute).where(ticks.c.app == app).scalar_subquery()


def skip_until(connection: Connection, app: str, task: str, minute: datetime) -> None:
    """Take note that a task was still running until a minute."""
    busy_before = or_(tasks.c.busy_until.is_(None), tasks.c.busy_until < minute)
    connection.execute(update(tasks).where(_is(app, task), busy_before).values(busy_until=minute))


def pass_over(connection: Connection, app: str, task: str, minute: datetime) -> bool:
    """Take note that a task is not run for a minute and those before, and tell whether nobody else had."""
    free = and_(_is(app, task), ~HELD, or_(tasks.c.last_minute.is_(None), tasks.c.last_minute < minute))
    return _change(connection, free, last_minute=minute, again=None)


def give_up(connection: Connection, app: str, task: str, minute: datetime) -> bool:
    """Take note that a minute is not run once more, and tell whether nobody else had."""
    waiting = and_(_is(app, task), ~HELD, tasks.c.last_minute == minute, tasks.c.again.is_not(None))
    return _change(connection, waiting, again=None)


def mark(connection: Connection, app: str, task: str, run_id: str, *, transactional: bool) -> bool:
    """Take note of whether a run commits with its record, and tell whether it is still this one's."""
    mine = and_(_is(app, task), tasks.c.run_id == run_id)
    # no new version of the row for each savepoint of a task that has many
    changed = update(tasks).where(mine, tasks.c.transactional != transactional).values(transactional=transactional)
    return connection.execute(changed).rowcount == 1 or bool(connection.scalar(select(exists().where(mine))))


def _change(connection: Connection, condition: ColumnElement[bool], **values: Any) -> bool:
    """Change the row of a task if it meets a condition and is not locked, and tell whether it was changed."""
    if connection.dialect.name == 'postgresql':
        # a process that is frozen in its claim, or in the commit of its task, makes nobody wait
        query = select(tasks.c.task).where(condition).with_for_update(skip_locked=True)
        if connection.scalar(query) is None:
            return False
    # SQLite waits for other writers only if the first statement of a transaction is one that writes
    return connection.execute(update(tasks).where(condition).values(**values)).rowcount == 1


def _is(app: str, task: str) -> ColumnElement[bool]:
    return and_(tasks.c.app == app, tasks.c.task == task)
