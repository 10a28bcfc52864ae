"""Comparing what the tasks did with what the store says that they did."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise

from sqlalchemy import create_engine, or_, select
from sqlalchemy.sql.functions import count

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import gaps, runs, tasks
from pyramid_cron.testing import due_between

from .application import ENDS_EARLY, NOT_JOINED, PARTS, Effect, Interval, written


def compare(url, registry, end, overlaps, joined):
    """Return figures, of which those under ``'wrong'`` have to be 0.

    :param end: the last simulated minute.
    :param overlaps: the file in which tasks wrote down who else was in them.
    :param joined: whether effects and records are committed together.
    """
    engine = create_engine(url)
    with engine.connect() as connection:
        intervals = connection.execute(select(Interval.task, Interval.since, Interval.minute)).all() if joined else []
        effects = Counter(map(tuple, connection.execute(select(Effect.task, Effect.minute, Effect.part))))
        records = connection.execute(select(runs).order_by(runs.c.started)).mappings().all()
        rows = connection.execute(select(tasks)).mappings().all()
        pauses = connection.execute(select(gaps.c.first_minute, gaps.c.last_minute)).all()
    engine.dispose()
    by_minute = defaultdict(list)
    for record in records:
        by_minute[record['task'], written(record['scheduled_for'])].append(record['outcome'])
    ok = {key for key, statuses in by_minute.items() if 'ok' in statuses}
    parts = defaultdict(set)
    for task, minute, part in effects:
        parts[task, minute].add(part)
    due = {
        (name, written(minute))
        for row in rows
        for minute, name in due_between(registry, row['first_seen'] + MINUTE, end + MINUTE)
        if name == row['task']
    }
    silent = {
        written(first + timedelta(minutes=number))
        for first, last in pauses
        for number in range((last - first) // MINUTE + 1)
    }
    made_good = {
        (record['task'], written(record['scheduled_for']))
        for record in records
        if (record['trigger'], record['outcome']) == ('backfill', 'ok')
    }
    # a run for a past minute that finds nothing to do makes good, too
    nothing_to_do = {
        (record['task'], written(record['scheduled_for']))
        for record in records
        if (record['trigger'], record['outcome']) == ('backfill', 'skipped')
    }
    # a run for a past minute does not move since
    intervals = [interval for interval in intervals if (interval.task, interval.minute) not in made_good]
    unrecorded = due - by_minute.keys()
    outside = {key: number for key, number in effects.items() if key[0] == NOT_JOINED and number > 1}
    twice = {key: number for key, number in effects.items() if number > 1 and key not in outside}
    wrong = {
        # what a session did
        'duplicates': sum(number - 1 for number in twice.values()),
        # what a task did otherwise, without a record of a run that was lost
        'duplicates outside of the session': sum(
            number > len(by_minute[task, minute]) - by_minute[task, minute].count('skipped')
            for (task, minute, _), number in outside.items()
        ),
        'successes twice': sum(statuses.count('ok') > 1 for statuses in by_minute.values()),
        'successes without their effect': sum(parts[key] != set(range(PARTS[key[0]])) for key in ok),
        'effects without a success': sum(_unexplained(key, parts[key], joined) for key in parts.keys() - ok),
        'effects without a record': len(parts.keys() - by_minute.keys()),
        'due minutes that nothing tells of': sum(minute not in silent for _, minute in unrecorded),
        'runs without an end': sum(record['outcome'] in ('running', 'queued') for record in records),
        'tasks without an end': sum(row['run_id'] is not None for row in rows),
        'overlaps': _overlaps(overlaps, by_minute),
        'made good without a success': sum(
            record['made_good_by'] is not None
            and (record['task'], written(record['scheduled_for'])) not in ok | nothing_to_do
            for record in records
        ),
        'faults of minutes that were made good': sum(
            record['not_good'] is not None and (record['task'], written(record['scheduled_for'])) in made_good
            for record in records
        ),
        'gaps between intervals': sum(since is not None and since > before for before, since in _ends(intervals)),
        'intervals that overlap': sum(since is None or since < before for before, since in _ends(intervals)),
    }
    return {
        'due': len(due),
        'effects': effects.total(),
        'records': dict(Counter(record['outcome'] for record in records)),
        'runs for past minutes': dict(
            Counter(record['outcome'] for record in records if record['trigger'] == 'backfill')
        ),
        'entries made good': sum(record['made_good_by'] is not None for record in records),
        'runs repeated': sum(record['attempt'] > 1 for record in records),
        'repeated outside of the session': len(outside),
        'due minutes that only a gap tells of': sum(minute in silent for _, minute in unrecorded),
        'gaps': len(pauses),
        'intervals': len(intervals),
        'wrong': wrong,
    }


def is_busy(url):
    """Return whether a run is queued or running."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.scalar(select(count()).select_from(tasks).where(tasks.c.run_id.is_not(None)))
    engine.dispose()
    return found > 0


def is_quiet(url, minute):
    """Tell whether nothing is queued, running, to be run once more, or owed up to a minute."""
    engine = create_engine(url)
    with engine.connect() as connection:
        busy = or_(tasks.c.run_id.is_not(None), tasks.c.retry_reason.is_not(None), tasks.c.next_due <= minute)
        found = connection.scalar(select(count()).select_from(tasks).where(busy))
    engine.dispose()
    return found == 0


def _ends(intervals):
    """Yield the end of each interval of a task with the beginning of the next, which is to be the same."""
    by_task = defaultdict(list)
    for task, since, minute in intervals:
        by_task[task].append((minute, since))
    for found in by_task.values():
        for (before, _), (_, since) in pairwise(sorted(found, key=lambda interval: (interval[0], interval[1] or ''))):
            yield before, since


def _unexplained(key, parts, joined):
    """Tell whether a run without a success cannot have had these effects."""
    if not joined or key[0] == NOT_JOINED:
        return False
    return parts != {0} or key[0] != ENDS_EARLY


def _overlaps(file, by_minute):
    """Count those that no loss explains: a process that is frozen is still in its task."""
    if not file.exists():
        return 0
    others = [tuple(line.split('\t')) for line in file.read_text().splitlines()]
    return sum('lost' not in by_minute[other] for other in others)
