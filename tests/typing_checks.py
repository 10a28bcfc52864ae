"""The public interface as the type checker of an application sees it; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from pyramid_cron import CronView, RunReport, Schedule, Task, TaskReport, add_cron_task, cron_task, includeme
from pyramid_cron.queues import Handover


def purge(system: dict[str, Any]) -> None: ...


@cron_task('*/5', timezone=ZoneInfo('UTC'), catch_up=600, retries=2, store=True, via='celery:queue=slow')
@cron_task(cron='@daily', name='daily', via=False, was=['nightly', 'weekly'])
def report(system: dict[str, Any]) -> int:
    return 5


def send(handover: Handover) -> None:
    print(handover.key, handover.scheduled_for.tzinfo, handover.command)


def main(config: Any, request: Any, run: RunReport) -> None:
    includeme(config)
    add_cron_task(config, purge, 0, range(0, 24, 3), {1, 15}, 'jan,jul', '*', True, name='purge')
    add_cron_task(config, 'myapp.tasks.purge', cron='@daily', timezone=ZoneInfo('UTC'))
    add_cron_task(config, purge, min=iter([0, 30]), catch_up=timedelta(hours=1), via=send)
    add_cron_task(config, report, via='.tasks.send')
    task = Task(purge, min=0, hour=2, timezone='Europe/Berlin')
    due: bool = task.check(datetime.now(timezone.utc))
    coming: Iterator[datetime] = task.runs(datetime.now(timezone.utc))
    schedule: Schedule = task.schedule
    body: str = CronView(request)()
    failed: list[TaskReport] = [result for result in run.tasks if result.exception is not None]
    print(due, next(coming), str(schedule), body, failed)


def mistakes(config: Any) -> None:
    add_cron_task(config, purge, min=1.5)  # type: ignore[arg-type]
    add_cron_task(config, purge, '*', '*', '*', '*', '*', False, 'name')  # type: ignore[call-arg]
    add_cron_task(config, purge, retrys=2)  # type: ignore[call-arg]
    add_cron_task(config, purge, via=True)  # type: ignore[arg-type]
    cron_task(hour=None)  # type: ignore[arg-type]
    cron_task()(5)  # type: ignore[type-var]
    Task(purge, cron=None)  # type: ignore[arg-type]
    Task(5)  # type: ignore[arg-type]
