"""The tables of the store before its first release, without a version: frozen, for the tests of upgrades."""

from sqlalchemy import Boolean, Column, DateTime, Double, Float, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql

metadata = MetaData()

INSTANT = DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
APP, NAME, ID = String(100), String(255), String(36)

tasks = Table(
    'cron_tasks',
    metadata,
    Column('app', APP, primary_key=True),
    Column('task', NAME, primary_key=True),
    Column('schedule', Text, nullable=False),
    Column('schedule_before', Text),
    Column('changed', INSTANT),
    Column('since', INSTANT, nullable=False),
    Column('last_minute', INSTANT),
    Column('busy_until', INSTANT),
    Column('attempt', Integer, nullable=False),
    Column('again', String(8)),
    Column('run_id', ID),
    Column('process', ID),
    Column('began', Double),
    Column('queued', ID),
    Column('transactional', Boolean, nullable=False),
)

pauses = Table(
    'cron_pauses',
    metadata,
    Column('app', APP, primary_key=True),
    Column('task', NAME, primary_key=True),
    Column('until', INSTANT, nullable=False),
    Column('reason', Text, nullable=False),
    Column('by', NAME),
)

processes = Table(
    'cron_processes',
    metadata,
    Column('id', ID, primary_key=True),
    Column('host', NAME, nullable=False),
    Column('pid', Integer, nullable=False),
    Column('place', NAME),
    Column('born', String(40)),
    Column('lease_until', Double, nullable=False),
)

ticks = Table(
    'cron_ticks',
    metadata,
    Column('app', APP, primary_key=True),
    Column('last_minute', INSTANT, nullable=False),
    Column('minute_before', INSTANT),
)

gaps = Table(
    'cron_gaps',
    metadata,
    Column('app', APP, primary_key=True),
    Column('first', INSTANT, primary_key=True),
    Column('last', INSTANT, nullable=False),
)

runs = Table(
    'cron_runs',
    metadata,
    Column('id', ID, primary_key=True),
    Column('app', APP, nullable=False),
    Column('task', NAME, nullable=False),
    Column('scheduled_for', INSTANT),
    Column('attempt', Integer, nullable=False),
    Column('trigger', String(20), nullable=False),
    Column('by', NAME),
    Column('host', NAME),
    Column('pid', Integer),
    Column('started', INSTANT, nullable=False),
    Column('finished', INSTANT),
    Column('status', String(20), nullable=False),
    Column('seconds', Float),
    Column('reason', Text),
    Column('error', NAME),
    Column('traceback', Text),
    Index('cron_runs_by_task', 'app', 'task', 'started'),
    Index('cron_runs_by_start', 'app', 'started'),
    Index('cron_runs_by_end', 'finished'),
)
