"""The next run of many schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim

from benchmarks.due import AWARE, ZONE
from benchmarks.measure import Row, Size, WrongResult, medians
from benchmarks.mixes import lines
from pyramid_cron import Schedule


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows of schedules that are read from crontab lines, and of those that have been read before."""
    count = min(1_000, size.counts[-1])
    group = f'The next run of {count:,} schedules'
    made = lines(count, count // 3)
    schedules = [Schedule.from_line(line) for line in made]
    triggers = [CronTrigger.from_crontab(line, timezone=ZONE) for line in made]
    functions: dict[str, Callable[[], list[datetime]]] = {
        'from lines': lambda: [next(Schedule.from_line(line).runs(AWARE)) for line in made],
        'read before': lambda: [next(schedule.runs(AWARE)) for schedule in schedules],
        'cronsim': lambda: [next(CronSim(line, AWARE)) for line in made],
        'croniter': lambda: [croniter(line, AWARE).get_next(datetime) for line in made],
        'APScheduler': lambda: [
            CronTrigger.from_crontab(line, timezone=ZONE).get_next_fire_time(AWARE, AWARE) for line in made
        ],
        'APScheduler trigger': lambda: [trigger.get_next_fire_time(AWARE, AWARE) for trigger in triggers],
    }
    expected = functions['from lines']()
    for name, function in functions.items():
        if function() != expected:
            raise WrongResult(f'{name} finds other next runs')
    seconds = medians(functions, size.rounds)
    for other in ('cronsim', 'croniter', 'APScheduler'):
        aim = 1 if other == 'cronsim' else None
        yield Row(group, 'from crontab lines', other, seconds['from lines'], seconds[other], most_ratio=aim)
    yield Row(
        group, 'from lines read before', 'APScheduler trigger', seconds['read before'], seconds['APScheduler trigger']
    )
