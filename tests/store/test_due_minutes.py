"""What became of each due minute, computed from records without a database."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron import Task
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.due_minutes import UNDECIDED, Knowledge, Period, Record, account, due_in, fates

BERLIN = ZoneInfo('Europe/Berlin')
DAY = timedelta(days=1)
FIRST = datetime(2026, 3, 1, 2, 0, tzinfo=timezone.utc)
END = datetime.max.replace(tzinfo=timezone.utc)
NIGHTLY = Task(print, min=0, hour=2)


def period(task=NIGHTLY, first=clock.EPOCH, last=END, zone=timezone.utc):
    return Period(first, last, task.schedule, zone)


def known(*periods, owed_from=FIRST, settled=END - DAY, recorded_from=FIRST, now=END - DAY):
    return Knowledge(periods or (period(),), owed_from, settled, recorded_from, now)


def ok(minute=FIRST, joined='whole', **values):
    return Record(
        **{'minute': minute, 'outcome': 'ok', 'attempt': 1, 'trigger': 'request', 'started': minute}
        | values
        | {'joined': joined}
    )


def bad(minute=FIRST, outcome='failed', joined='whole', attempt=1, started=None, **values):
    return Record(minute, outcome, attempt, 'request', started or minute, joined, **values)


def one(*records, knowledge=None):
    """Return what became of the first minute, and whether the account of it alone is good."""
    found = account(knowledge or known(), records, FIRST, FIRST)
    [minute] = found.minutes
    assert found.due == ([] if minute.fate in (*UNDECIDED, 'ran, and was not due') else [minute])
    return minute, found.is_good


def test_each_night_was_committed_once():
    found = account(known(), [ok(FIRST + day * DAY) for day in range(304)], FIRST, FIRST + 303 * DAY)
    assert (len(found.due), found.counts, found.is_good) == (304, {'committed once': 304}, True)
    assert (found.by_name, found.unknown_until) == (0, None)


@pytest.mark.parametrize(
    ('records', 'fate', 'left'),
    [
        ([ok()], 'committed once', False),
        ([bad(), ok(attempt=2, started=FIRST + MINUTE)], 'committed once', False),
        ([bad(outcome='lost'), ok(attempt=2, started=FIRST + MINUTE)], 'committed once', False),
        (
            [bad(outcome='missed', attempt=0, joined=None), ok(trigger='backfill', started=FIRST + DAY)],
            'committed once',
            False,
        ),
        ([bad(outcome='skipped')], 'nothing to do', False),
        ([bad(), bad(outcome='skipped', attempt=2, started=FIRST + MINUTE)], 'nothing to do', False),
        # without proof
        ([ok(), ok(started=FIRST + DAY)], 'ok more than once', True),
        ([ok(joined=None), ok(joined=None, started=FIRST + DAY)], 'ok more than once', True),
        ([ok(joined='partly')], 'committed in parts', False),
        ([bad(outcome='stopped'), ok(attempt=2, started=FIRST + MINUTE)], 'committed in parts', True),
        (
            [bad(joined='apart'), ok(started=FIRST + MINUTE)],
            'committed after an attempt that may have left something',
            True,
        ),
        (
            [bad(joined='partly'), ok(started=FIRST + MINUTE)],
            'committed after an attempt that may have left something',
            True,
        ),
        (
            [bad(outcome='lost', joined=None), ok(started=FIRST + MINUTE)],
            'committed after an attempt that may have left something',
            True,
        ),
        ([bad(outcome='skipped', joined='apart')], 'committed after an attempt that may have left something', True),
        ([ok(joined='apart')], 'ok, not joined', False),
        ([ok(joined=None)], 'ok, not joined', False),
        ([ok(joined='empty')], 'ok, nothing committed', False),
        # not ok
        ([bad()], 'failed', False),
        ([bad(joined='apart')], 'failed', True),
        ([bad(), bad(outcome='lost', started=FIRST + MINUTE)], 'lost', False),
        ([bad(outcome='stopped')], 'stopped', False),
        ([bad(outcome='missed', attempt=0, joined=None)], 'missed', False),
        ([bad(outcome='skipped', attempt=0, joined=None)], 'skipped', False),
        ([bad(outcome='paused', attempt=0, joined=None)], 'paused', False),
        ([], 'no record', False),
    ],
)
def test_the_fate_of_a_minute(records, fate, left):
    # in any order
    for given in (records, records[::-1]):
        minute, is_good = one(*given)
        assert (minute.fate, minute.left, is_good) == (fate, left, fate in ('committed once', 'nothing to do'))
        assert minute.attempts == sum(record.attempt > 0 for record in records)


@pytest.mark.parametrize('outcome', ['running', 'queued'])
def test_a_run_in_progress_is_not_decided(outcome):
    minute, is_good = one(bad(), bad(outcome=outcome, joined=None, started=FIRST + MINUTE))
    assert (minute.fate, minute.attempts, is_good) == ('in progress', 2, True)


@pytest.mark.parametrize(
    ('after', 'fate'),
    [(0, 'waiting for its tick'), (2, 'waiting for its tick'), (3, 'no tick yet'), (500, 'no tick yet')],
)
def test_a_minute_that_no_tick_has_come_to(after, fate):
    unsettled = known(settled=FIRST - MINUTE, now=FIRST + after * MINUTE)
    minute, is_good = one(knowledge=unsettled)
    assert (minute.fate, is_good) == (fate, fate == 'waiting for its tick')
    assert one(knowledge=unsettled._replace(settled=FIRST))[0].fate == 'no record'


def test_a_minute_before_the_records_is_unknown():
    pruned = known(recorded_from=FIRST + MINUTE)
    minute, is_good = one(knowledge=pruned)
    assert (minute.fate, is_good) == ('before the records', False)
    assert account(pruned, [], FIRST, FIRST).unknown_until == FIRST + MINUTE
    # a record that is still there is one
    assert one(ok(), knowledge=pruned) == (one(ok())[0], True)


def test_late_runs_and_backfills_are_named():
    assert not one(ok(started=FIRST + timedelta(seconds=59)))[0].late
    late = one(ok(started=FIRST + 4 * MINUTE))[0]
    assert (late.late, late.backfill, late.requested_by) == (True, False, None)
    backfill = one(bad(), ok(started=FIRST + DAY, trigger='backfill', requested_by='ada'))[0]
    assert (backfill.late, backfill.backfill, backfill.requested_by) == (True, True, 'ada')
    # the user of a run by schedule is of no interest
    assert one(ok(requested_by='ada'))[0].requested_by is None


def test_the_reason_is_the_error_or_why_it_did_not_run():
    assert one(bad(error='KeyError', reason='why'))[0].reason == 'KeyError'
    assert one(bad(outcome='missed', attempt=0, reason='why'))[0].reason == 'why'


def test_the_next_run_by_schedule_covers_what_was_not_committed():
    nights = [FIRST + day * DAY for day in range(8)]
    records = [
        bad(nights[0], 'missed', attempt=0),
        bad(nights[1]),
        # may have left something: no other run stands for that
        bad(nights[2], joined='apart'),
        ok(nights[3], trigger='backfill'),
        ok(nights[4], joined='apart'),
        ok(nights[5]),
        bad(nights[6], 'paused', attempt=0),
    ]
    found = account(known(), records, nights[0], nights[-1])
    assert [minute.covered_by for minute in found.minutes] == [nights[5], nights[5], None, None, None, None, None, None]
    assert not found.is_good


def test_runs_by_name_are_counted_apart():
    names = [bad(None, 'ok', started=FIRST + minutes * MINUTE) for minutes in (-1, 0, 1, 2)]
    found = account(known(), [ok(), *names, ok(FIRST - DAY), ok(FIRST + DAY)], FIRST, FIRST)
    assert (found.by_name, len(found.minutes), found.is_good) == (2, 1, True)


def test_a_run_for_a_minute_that_was_not_due_is_named():
    found = account(known(), [ok(), ok(FIRST + MINUTE)], FIRST, FIRST + MINUTE)
    assert [minute.fate for minute in found.minutes] == ['committed once', 'ran, and was not due']
    assert (len(found.due), found.is_good) == (1, False)
    # nothing of it happened
    skipped = bad(FIRST + MINUTE, 'skipped', attempt=0)
    assert account(known(), [ok(), skipped], FIRST, FIRST + MINUTE).is_good


def test_the_schedule_of_its_time_counts():
    changed = FIRST + DAY
    hourly = Task(print, min=0)
    both = known(period(last=changed - MINUTE), period(hourly, changed))
    assert [(minute - FIRST) // timedelta(hours=1) for minute in due_in(both, FIRST, changed + 3 * 60 * MINUTE)] == [
        0,
        24,
        25,
        26,
        27,
    ]
    assert list(due_in(both, changed, changed)) == [changed]
    # what was before the only known schedule is not known, and each record counts
    new = known(period(hourly, changed))
    found = account(new, [ok(FIRST + MINUTE), ok(changed)], FIRST, changed)
    assert [minute.fate for minute in found.minutes] == ['committed once', 'committed once']
    assert (found.unknown_until, found.is_good) == (changed, False)
    assert account(new, [ok(changed)], changed, changed).is_good
    # and without any schedule, everything
    none = known()._replace(periods=())
    assert account(none, [ok()], FIRST, FIRST).unknown_until == none.now


def test_a_task_owes_nothing_before_its_first_tick():
    late = known(owed_from=FIRST + DAY)
    found = account(late, [ok(FIRST + DAY)], FIRST - 9 * DAY, FIRST + DAY)
    assert (len(found.due), found.unknown_until, found.is_good) == (1, None, True)
    # it was there before, and nothing decided what it owed meanwhile
    found = account(late, [ok(), ok(FIRST + DAY)], FIRST, FIRST + DAY)
    assert ([minute.fate for minute in found.minutes], found.unknown_until) == (['committed once'] * 2, FIRST + DAY)
    assert not found.is_good
    # no schedule was known then, and none was needed
    assert account(late._replace(periods=(period(first=FIRST + DAY),)), [ok(FIRST + DAY)], FIRST, FIRST + DAY).is_good


def test_clock_changes_make_one_minute_a_night():
    task = Task(print, min=30, hour=2, timezone=BERLIN)
    for day, due in ((29, datetime(2026, 3, 29, 1, 0)), (30, datetime(2026, 3, 30, 0, 30))):
        first = datetime(2026, 3, day, tzinfo=BERLIN).astimezone(timezone.utc)
        knowledge = known(period(task, zone=BERLIN), owed_from=clock.EPOCH)
        minute = due.replace(tzinfo=timezone.utc)
        found = account(knowledge, [ok(minute)], first, first + timedelta(hours=22))
        assert [(shown.minute, shown.shifted) for shown in found.minutes] == [(minute, day == 29)]
        assert found.is_good
    # in autumn 02:30 comes twice, and a fixed time is due the first time
    first = datetime(2026, 10, 24, 22, 0, tzinfo=timezone.utc)
    assert list(due_in(knowledge, first, first + DAY)) == [datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc)]
    every = known(period(Task(print, min='*/30'), zone=BERLIN), owed_from=clock.EPOCH)
    found = account(every, [], first, first + timedelta(hours=25) - MINUTE)
    assert len(found.minutes) == 50
    assert not any(minute.shifted for minute in found.minutes)


def test_fates_have_an_order():
    counts = {'missed': 2, 'failed': 5, 'lost': 2, 'ok, not joined': 1, 'committed once': 1, 'nothing to do': 9}
    assert [fate for fate, _ in fates(counts)] == [
        'committed once',
        'nothing to do',
        'ok, not joined',
        'failed',
        'lost',
        'missed',
    ]
