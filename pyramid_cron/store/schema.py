"""The tables of the store. Instants are kept in UTC without a zone, leases in seconds of the database's own clock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    Double,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    literal_column,
    or_,
)

from pyramid_cron.history_entries import BACKFILL
from pyramid_cron.outcomes import FAILED, LOST, MISSED
from pyramid_cron.store.dialects import LONG_TEXT, TABLE_OPTIONS, dialect_of
from pyramid_cron.store.instants import Instant
from pyramid_cron.store.storable import Storable, StorableLog, StorableText

#: what an application's Alembic adds to its own, see docs/alembic.rst
metadata = MetaData()


APP, NAME, ID, WORD = Storable(100), Storable(255), String(36), String(20)

# the version of these tables. Within a major version only nullable columns are added, so that servers of both versions
# can tick side by side; see migrations.py
schema = Table('cron_schema', metadata, Column('version', WORD, primary_key=True), **TABLE_OPTIONS)

# one row a task, which alone decides whether the task may run, and what is wrong with it
tasks = Table(
    'cron_tasks',
    metadata,
    Column('app', APP, primary_key=True),
    Column('task', NAME, primary_key=True),
    # the last name before this one, by which processes with older code look for the row
    Column('renamed_from', NAME),
    # the dotted path of the function, by which people recognize a task under another name. Not a NAME: by the declared
    # length SQLite would estimate the rows so long that it leaves the index of few rows for another one
    Column('callable', StorableText),
    # the schedule before the last change counts for the minutes before schedule_changed_at
    Column('schedule', Text, nullable=False),
    Column('previous_schedule', Text),
    Column('schedule_changed_at', Instant),
    # from which minute on previous_schedule counted
    Column('previous_schedule_from', Instant),
    # a task owes no minute from before first_seen; last_seen is the last tick of a process that has it registered
    Column('first_seen', Instant, nullable=False),
    Column('last_seen', Instant),
    # the tick that has reported the task as unregistered; it does not count any more after a later last_seen
    Column('unregistered_at', Instant),
    # the newest minute that was claimed or skipped, and the minute of the end of the last run: the task owes later ones
    Column('last_minute', Instant),
    Column('busy_until', Instant),
    # the newest of these minutes before they were taken back from the future: put forward again when it is reached
    Column('taken_back_from', Instant),
    Column('attempt', Integer, nullable=False, default=0),
    # whether the last run, which has failed or was lost, is tried again for its minute. This column and the next three
    # stand before those that their new values are computed from: MySQL assigns in the order of the columns
    Column('will_retry', Boolean),
    # runs in a row that have failed, were lost or missed, and since when, by the database's clock. Both stay when a run
    # succeeds, until one process has reported that the task is well again
    Column('failed_runs', Integer),
    Column('failed_since', Double),
    # the failure that is acknowledged, until the task succeeds or fails otherwise
    Column('acknowledged_for', StorableText),
    # why last_minute is to run once more: failed, lost or unsent
    Column('retry_reason', String(8)),
    # the newest tick at which the task was to run and its engine had no room for it
    Column('waited_minute', Instant),
    # seconds after busy_until before which a run that has failed is not repeated; null for the next tick
    Column('retry_wait', Double),
    # the first minute that the task may owe: from then on ticks look at the row
    Column('next_due', Instant),
    # the fencing token of the run in progress, null if there is none; its process, null while an engine has it
    Column('run_id', ID),
    Column('process', ID),
    # by the database's clock; MySQL would round a Float to minutes
    Column('started_at', Double),
    # the minute, or the token of a run by name, that was enqueued and that no worker has begun
    Column('handed_over_for', ID),
    # when the queued run was last enqueued again, by the database's clock, and why a worker that took its message did
    # not begin it, behind its token. Neither counts for a later run
    Column('sent_again_at', Double),
    Column('not_begun', StorableText),
    # whether the run in progress commits with its record, so that a dead process leaves no effect
    Column('transactional', Boolean, nullable=False, default=False),
    # the user that stopped the last run, or what ended its process, if its outcome is stopped. Not a NAME: see callable
    Column('stop_requested_by', StorableText),
    # the last result: ok, failed, lost, missed, stopped or skipped, and its minute; when the last run ended, and its
    # seconds
    Column('last_outcome', WORD),
    Column('last_outcome_for', Instant),
    Column('last_finished', Instant),
    Column('last_seconds', Double),
    # the newest minute of a scheduled run that succeeded, and when any run last did
    Column('last_success_for', Instant),
    Column('last_success_at', Instant),
    # attempts that have failed or were lost since then
    Column('failures_in_a_row', Integer),
    Column('last_error', StorableText),
    # the first line of the message of that exception
    Column('last_message', StorableText),
    # by which user, since when, and why, in JSON
    Column('acknowledged', StorableText),
    # how long its last good runs took
    Column('good_seconds', Text),
    **TABLE_OPTIONS,
)

# not in the rows of the tasks: under REPEATABLE READ an application's own transaction, which updates such a row at its
# end, would fail if the task was paused meanwhile
pauses = Table(
    'cron_pauses',
    metadata,
    Column('app', APP, primary_key=True),
    Column('task', NAME, primary_key=True),
    # minutes before it are not run, and not caught up afterwards
    Column('until', Instant, nullable=False),
    Column('reason', StorableText, nullable=False),
    Column('requested_by', NAME),
    Column('since', Instant),
    **TABLE_OPTIONS,
)

processes = Table(
    'cron_processes',
    metadata,
    Column('id', ID, primary_key=True),
    Column('host', NAME, nullable=False),
    Column('pid', Integer, nullable=False),
    # the boot and the PID namespace in which pid is unique, and when that process started; null where not known
    Column('boot_and_pidns', NAME),
    Column('process_started', String(40)),
    Column('lease_until', Double, nullable=False),
    # the requests that runs of it end: see stop_requests.py
    Column('stops', Text),
    # what its runs in progress have put out until its last heartbeat: see live_outputs.py
    Column('progress', Text),
    Column('outputs', LONG_TEXT),
    **TABLE_OPTIONS,
)

ticks = Table(
    'cron_ticks',
    metadata,
    Column('app', APP, primary_key=True),
    Column('last_minute', Instant, nullable=False),
    Column('minute_before', Instant),
    # the newest minute at which a tick did all of its work, and what the last tick could not do
    Column('done_minute', Instant),
    Column('problem', StorableText),
    # the tick after which old records were deleted
    Column('pruned_minute', Instant),
    # as in the rows of the tasks
    Column('taken_back_from', Instant),
    # the last tick before the ticks stopped, once that is reported; null while they come
    Column('stopped_after', Instant),
    **TABLE_OPTIONS,
)

# minutes without a tick, one after another, or with ticks that failed because of a problem
gaps = Table(
    'cron_gaps',
    metadata,
    Column('app', APP, primary_key=True),
    Column('first_minute', Instant, primary_key=True),
    Column('last_minute', Instant, nullable=False),
    Column('problem', StorableText),
    **TABLE_OPTIONS,
)

# the values of runs.c.not_good by outcomes; others have none. An index on the outcome, or limited by it, would make
# PostgreSQL renew all indexes at each end of a run: it does not where no column of an index changes (HOT)
FAULT = 'fault'
NOT_GOOD = {FAILED: FAULT, LOST: FAULT, MISSED: MISSED}

# what happened, for people: nothing is decided by it
runs = Table(
    'cron_runs',
    metadata,
    Column('id', ID, primary_key=True),
    Column('app', APP, nullable=False),
    Column('task', NAME, nullable=False),
    Column('scheduled_for', Instant),
    Column('attempt', Integer, nullable=False),
    Column('trigger', WORD, nullable=False),
    Column('requested_by', NAME),
    Column('host', NAME),
    Column('pid', Integer),
    Column('started', Instant, nullable=False),
    Column('finished', Instant),
    Column('outcome', WORD, nullable=False),
    Column('seconds', Float),
    Column('reason', StorableText),
    Column('error', NAME),
    Column('traceback', StorableText),
    Column('note', StorableText),
    Column('log', StorableLog),
    # of NOT_GOOD, by which the outcomes that a person has to look at are found
    Column('not_good', WORD),
    # the user of the backfill that made the minute ok in the end, empty if not known; null without such a backfill
    Column('made_good_by', NAME),
    # how far the effect of a run that has ended is one commit with this record: see joining.py; null if not known
    Column('joined', WORD),
    **TABLE_OPTIONS,
)

# what people did, such as a pause, for people as well; a task of '*' stands for all tasks
audit = Table(
    'cron_audit',
    metadata,
    Column('id', ID, primary_key=True),
    Column('app', APP, nullable=False),
    Column('task', NAME, nullable=False),
    Column('at', Instant, nullable=False),
    Column('action', WORD, nullable=False),
    Column('requested_by', NAME),
    Column('reason', StorableText),
    # when its effect ends by itself
    Column('until', Instant),
    **TABLE_OPTIONS,
)

# spelled out without parameters, as the indexes below are, or else the databases would not use them
NEEDS_ATTENTION = or_(tasks.c.run_id.is_not(None), tasks.c.retry_reason.is_not(None))
IS_NOT_GOOD = runs.c.not_good.is_not(None)
IS_BY_HAND = or_(*(runs.c.trigger == literal_column(f"'{trigger}'") for trigger in ('manual', BACKFILL)))


# the mark of an index that is not worth its while with all of the rows
OF_FEW_ROWS = 'of few rows'


def wants_index(index: Index, dialect_name: str) -> bool:
    """Return whether a database gets an index: one of few rows only where it can be limited to them."""
    return not index.info.get(OF_FEW_ROWS) or dialect_of(dialect_name).has_partial_indexes


def _if_wanted(
    ddl: Any, target: Any, bind: Any, tables: Any = None, state: Any = None, *, dialect: Dialect, **options: Any
) -> bool:
    return wants_index(target, dialect.name)


Index('cron_tasks_by_next_due', tasks.c.app, tasks.c.next_due)
Index(
    'cron_tasks_needing_attention',
    tasks.c.app,
    tasks.c.task,
    sqlite_where=NEEDS_ATTENTION,
    postgresql_where=NEEDS_ATTENTION,
    info={OF_FEW_ROWS: True},
).ddl_if(callable_=_if_wanted)
Index('cron_audit_by_time', audit.c.app, audit.c.at)
Index('cron_runs_by_task', runs.c.app, runs.c.task, runs.c.started)
# none on finished: each end of a run would have to move its entry
Index('cron_runs_by_start', runs.c.app, runs.c.started)
Index('cron_runs_by_minute', runs.c.app, runs.c.scheduled_for)
# no run by schedule has an entry in it
Index(
    'cron_runs_by_hand',
    runs.c.app,
    runs.c.trigger,
    runs.c.started,
    sqlite_where=IS_BY_HAND,
    postgresql_where=IS_BY_HAND,
    info={OF_FEW_ROWS: True},
).ddl_if(callable_=_if_wanted)
for _name, _columns in {
    'cron_runs_not_good_by_start': (runs.c.app, runs.c.not_good, runs.c.started),
    'cron_runs_not_good_by_task': (runs.c.app, runs.c.task, runs.c.not_good, runs.c.started),
}.items():
    # of all rows where it cannot be limited, or else what is not good would be looked for among all of them
    Index(_name, *_columns, sqlite_where=IS_NOT_GOOD, postgresql_where=IS_NOT_GOOD)
