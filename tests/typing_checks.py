"""The public interface as the type checker of an application sees it; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from pyramid_cron import CronView, RunReport, Schedule, Task, TaskReport, add_cron_task, includeme


def purge(system: dict[str, Any]) -> None: ...


def main(config: Any, request: Any, report: RunReport) -> None:
    includeme(config)
    add_cron_task(config, purge, 0, range(0, 24, 3), {1, 15}, 'jan,jul', '*', True, name='purge')
    add_cron_task(config, 'myapp.tasks.purge', cron='@daily', timezone=ZoneInfo('UTC'))
    task = Task(purge, min=0, hour=2, timezone='Europe/Berlin')
    due: bool = task.check(datetime.now(timezone.utc))
    coming: Iterator[datetime] = task.runs(datetime.now(timezone.utc))
    schedule: Schedule = task.schedule
    body: str = CronView(request)()
    failed: list[TaskReport] = [result for result in report.tasks if result.exception is not None]
    print(due, next(coming), str(schedule), body, failed)


def mistakes(config: Any) -> None:
    add_cron_task(config, purge, min=1.5)  # type: ignore[arg-type]
    add_cron_task(config, purge, '*', '*', '*', '*', '*', False, 'name')  # type: ignore[call-arg]
    Task(purge, cron=None)  # type: ignore[arg-type]
    Task(5)  # type: ignore[arg-type]
