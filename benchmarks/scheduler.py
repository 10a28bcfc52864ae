"""APScheduler with its job store: its wake-ups, and how often several schedulers run a job that is due once."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

from benchmarks.databases import database
from benchmarks.measure import Call, Row, Size, WrongResult
from benchmarks.stored import BEGIN
from benchmarks.together import finish, together

NAME = 'APScheduler job store'
GROUP = 'How often a due moment runs on four processes'
# how often a due moment runs here: servers.py counts it, and ends the benchmarks if it is anything else
ONCE = 1.0
JOBS = 5
SECONDS = 6

ran = 0


class EachTime(CronTrigger):  # type: ignore[misc]
    """A trigger of each minute, whose next run is due at the next wake-up."""

    def get_next_fire_time(self, previous_fire_time: Any, now: datetime) -> datetime:
        """Compute the next minute as a crontab line does, and return the present."""
        super().get_next_fire_time(previous_fire_time, now)
        return now + timedelta(microseconds=1)


class ByHand(BaseScheduler):  # type: ignore[misc]
    """A scheduler without a thread, which runs what is due when it is called."""

    def run_due(self) -> None:
        """Do what a scheduler does when it wakes up: find what is due and run it."""
        self._process_jobs()

    def wakeup(self) -> None:
        """Do nothing when a job is added."""

    def shutdown(self, wait: bool = True) -> None:
        """Close the job store."""
        super().shutdown(wait)


@contextmanager
def wakeups(url: str, due: int) -> Iterator[Call]:
    """Yield a call that wakes up a scheduler with this number of due jobs, and one that is not due.

    :param url: of the database of its job store.
    """
    stores = {'default': SQLAlchemyJobStore(url, tablename=f'apscheduler_{due}')}
    # a job runs however late it is, as here
    defaults = {'misfire_grace_time': None}
    scheduler = ByHand(
        job_defaults=defaults, jobstores=stores, executors={'default': DebugExecutor()}, timezone=timezone.utc
    )
    scheduler.start()
    scheduler.add_job(_count, DateTrigger(datetime.now(timezone.utc) + timedelta(days=183)), id='not due')
    for number in range(due):
        scheduler.add_job(_count, EachTime(timezone=timezone.utc), id=str(number))

    def call() -> None:
        before = ran
        scheduler.run_due()
        if ran - before != due:
            raise WrongResult(f'APScheduler ran {ran - before} of {due} jobs')

    try:
        yield call
    finally:
        scheduler.remove_all_jobs()
        scheduler.shutdown()


def _count() -> None:
    global ran
    ran += 1


def rows(size: Size) -> Iterator[Row]:
    """Yield how often APScheduler runs a job that is due once, in four processes that share a job store."""
    with database('sqlite') as url, tempfile.TemporaryDirectory() as folder:
        effects = Path(folder, 'effects')
        effects.touch()
        shared = f'{url}?timeout=30'
        _add_jobs(shared, str(effects))
        with together(4, _schedule, shared) as (started, barrier):
            barrier.wait()
            finish(started)
        runs = effects.read_text(encoding='utf-8').split('\n')[:-1]
    if not runs:
        raise WrongResult('APScheduler ran nothing')
    yield Row(GROUP, 'runs of a due moment', NAME, ONCE, len(runs) / len(set(runs)), unit='')


def _scheduler(url: str) -> Any:
    scheduler = BackgroundScheduler(jobstores={'default': SQLAlchemyJobStore(url)}, timezone=timezone.utc)
    scheduler.start(paused=True)
    return scheduler


def _add_jobs(url: str, file: str) -> None:
    """Make the job store before several share it, which cannot all do so at once."""
    scheduler = _scheduler(url)
    for job in range(JOBS):
        scheduler.add_job(_record, 'interval', [file, str(job)], seconds=1, id=str(job), start_date=BEGIN)
    scheduler.shutdown()


def _schedule(number: int, barrier: Any, url: str) -> None:
    scheduler = _scheduler(url)
    barrier.wait()
    scheduler.resume()
    time.sleep(SECONDS)
    scheduler.shutdown()


def _record(file: str, name: str) -> None:
    with open(file, 'a', encoding='utf-8') as effects:
        effects.write(f'{name} {time.time():.0f}\n')
