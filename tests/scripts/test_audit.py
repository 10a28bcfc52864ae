"""``pcron audit``: what became of each due minute."""

import json
import textwrap
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, update

from pyramid_cron import Task
from pyramid_cron.schedules.clock import EPOCH, MINUTE
from pyramid_cron.scripts.audit import audit_json, audit_text
from pyramid_cron.store.due_minutes import Knowledge, Period, Record, account, due_in
from pyramid_cron.store.schema import runs, tasks
from pyramid_cron.times import PAST_EXAMPLES
from tests.support.filling import ran
from tests.support.pcron import NOW

BERLIN = ZoneInfo('Europe/Berlin')
# 00:00 in Berlin
FIRST = NOW.replace(minute=0, second=0)
TEN = Task(print, min='*/10', timezone=BERLIN)
EACH_TEN = "plain, min='*/10', name='plain', catch_up=0"
SINCE = ('--since', '2026-12-23 23:30', '--until', '2026-12-24 00:00')


def shown(*records, first=FIRST, last=FIRST + 30 * MINUTE, verbose=False, task=TEN, **values):
    settled = last + MINUTE
    period = Period(values.pop('scheduled_from', EPOCH), settled + timedelta(days=9), task.schedule, BERLIN)
    knowledge = Knowledge([period], first, settled, first, settled)._replace(**values)
    found = account(knowledge, records, first, last)
    return audit_text('shop.sync', found, timedelta(days=30), BERLIN, 500, verbose).split('\n'), audit_json(
        'shop.sync', found, BERLIN
    )


def at(minutes, outcome='ok', joined='whole', started=0, attempt=1, trigger='request', **values):
    minute = FIRST + minutes * MINUTE
    return Record(minute, outcome, attempt, trigger, minute + started * MINUTE, joined, **values)


ALL = [at(0), at(10), at(20), at(30)]


def test_all_is_good():
    lines, _ = shown(*ALL)
    assert lines == [
        'shop.sync: 4 of 4 due minutes committed once, none twice',
        'What can be known: records begin at 2026-12-24 00:00 (cron.keep_history = 30 days); '
        'the first tick of the task was at 2026-12-24 00:00.',
        '',
        'From 2026-12-24 00:00 to 2026-12-24 00:30. Times are in Europe/Berlin.',
    ]
    lines, _ = shown(*ALL, verbose=True)
    assert lines[3:7] == [f'2026-12-24 00:{minute}  committed once' for minute in ('00', '10', '20', '30')]


def test_what_is_not_good_is_listed_and_explained():
    lines, _ = shown(
        at(0, 'missed', None, attempt=0, reason='no tick came in time'),
        at(10, started=4),
        at(20, started=60, trigger='backfill', requested_by='ada'),
        at(20, 'failed', started=1),
        at(30, joined='apart'),
        at(30, 'ok', 'apart', started=60, trigger='backfill'),
        Record(None, 'ok', 1, 'manual', FIRST),
        scheduled_from=FIRST,
    )
    assert lines[:-2] == [
        'shop.sync: 2 of 4 due minutes committed once, 1 missed, 1 twice',
        '1 of the 2 ran late: caught up, waited, or tried again.',
        '1 of the 2 ran on request, by a backfill.',
        "1 minute has no committed run. If the task works from system['since'] on, the next run did the work of this "
        'minute too.',
        '1 run by name besides, for no minute.',
        'What can be known: records begin at 2026-12-24 00:00 (cron.keep_history = 30 days); the first tick of the '
        'task was at 2026-12-24 00:00; its schedule is known from 2026-12-24 00:00 on.',
        '',
        '2026-12-24 00:00  missed: no tick came in time; the run for 2026-12-24 00:10 came next',
        '2026-12-24 00:30  ok more than once; 2 runs; backfill',
        '',
        'ok more than once: more than one run was ok, and each may have committed its work',
    ]
    lines, _ = shown(*ALL[1:], at(0, 'failed', 'apart', error='KeyError'), at(10, 'failed', started=-1, joined='whole'))
    assert '2026-12-24 00:00  failed: KeyError; may have left something' in lines
    lines, _ = shown(at(10, started=4), at(20, started=60, trigger='backfill', requested_by='ada'), verbose=True)
    assert '2026-12-24 00:10  committed once; late' in lines
    assert '2026-12-24 00:20  committed once; backfill, ada' in lines


def test_many_minutes_are_cut():
    lines, _ = shown(last=FIRST + timedelta(minutes=239))
    assert lines[0] == 'shop.sync: 0 of 24 due minutes committed once, 24 no record, none twice'
    assert lines[-5] == '    and 4 more: -v lists each minute'
    assert len([line for line in lines if line.endswith('no record')]) == 20
    assert len(shown(last=FIRST + timedelta(minutes=239), verbose=True)[0]) == len(lines) + 3


def test_what_is_not_known_is_named():
    lines, shown_json = shown(*ALL[1:], recorded_from=FIRST + MINUTE)
    assert lines[1] == 'Not known: what was due, and what became of it, before 2026-12-24 00:01.'
    assert 'before the records: it is older than what is recorded' in lines
    assert json.loads(shown_json)['unknown_until'] == '2026-12-24T00:01:00+01:00'
    lines, _ = shown(first=FIRST + MINUTE, last=FIRST + 2 * MINUTE)
    assert lines[0] == 'shop.sync: no due minute of that time is known'


def test_a_time_that_the_clocks_skipped():
    first = FIRST.replace(month=3, day=29, hour=1)
    task = Task(print, min=30, hour=2, timezone=BERLIN)
    lines, _ = shown(
        Record(first, 'ok', 1, 'request', first, 'whole'), first=first, last=first, task=task, verbose=True
    )
    assert lines[1] == '1 was due at the first minute after a time that the clocks skipped.'
    assert '2026-03-29 03:00  committed once; for a time that the clocks skipped' in lines


def test_json_has_each_minute():
    _, text = shown(*ALL[:3], at(30, 'missed', None, attempt=0, reason='no tick'))
    found = json.loads(text)
    minutes = found.pop('minutes')
    assert found == {
        'task': 'shop.sync',
        'since': '2026-12-24T00:00:00+01:00',
        'until': '2026-12-24T00:30:00+01:00',
        'good': False,
        'due': 4,
        'counts': {'committed once': 3, 'missed': 1},
        'runs_by_name': 0,
        'unknown_until': None,
        'records_from': '2026-12-24T00:00:00+01:00',
        'schedule_known_from': None,
        'first_tick': '2026-12-24T00:00:00+01:00',
    }
    assert minutes[3] == {
        'minute': '2026-12-24T00:30:00+01:00',
        'fate': 'missed',
        'attempts': 0,
        'late': False,
        'backfill': False,
        'requested_by': None,
        'left': False,
        'reason': 'no tick',
        'covered_by': None,
        'shifted': False,
    }
    assert json.loads(shown(*ALL, scheduled_from=FIRST)[1])['schedule_known_from'] == '2026-12-24T00:00:00+01:00'


def test_the_page_shows_what_the_command_prints():
    """The example of docs/audit.rst: a task at 02:30 in Berlin, with two incidents."""
    task = Task(print, min=30, hour=2, timezone=BERLIN)
    first, last = (
        datetime(2026, month, day, tzinfo=BERLIN).astimezone(timezone.utc) for month, day in ((1, 1), (10, 31))
    )
    first_tick, recorded_from = (
        datetime(2025, month, day, 0, 1, tzinfo=BERLIN).astimezone(timezone.utc) for month, day in ((9, 1), (10, 27))
    )
    period = Period(EPOCH, last + timedelta(days=9), task.schedule, BERLIN)
    knowledge = Knowledge([period], first_tick, last, recorded_from, last)
    due = list(due_in(knowledge, first, last))
    missed, late, twice, requested = due[123], due[9:11], due[254], due[200]
    assert len(due) == 303
    records = [Record(minute, 'ok', 1, 'request', minute, 'whole') for minute in due if minute not in (missed, *late)]
    records += [Record(minute, 'ok', 1, 'request', minute + 4 * MINUTE, 'whole') for minute in late]
    records.append(Record(missed, 'missed', 0, 'none', missed, None, reason='no tick came in time'))
    records.append(Record(twice, 'ok', 2, 'backfill', twice + timedelta(days=1), 'whole', 'ada'))
    records.append(Record(requested, 'failed', 1, 'request', requested, 'whole'))
    records = [
        record._replace(trigger='backfill', started=record.started + MINUTE)
        if record.minute == requested and record.outcome == 'ok'
        else record
        for record in records
    ]
    text = audit_text('shop.invoices', account(knowledge, records, first, last), timedelta(days=400), BERLIN, 80, False)
    page = (Path(__file__).parents[2] / 'docs' / 'audit.rst').read_text(encoding='utf-8')
    assert textwrap.indent(text, '    ') in page


def fill(engine, minutes, app, **values):
    rows = [ran(app, 'plain', FIRST + minute * MINUTE, joined='whole', **values) for minute in minutes]
    with engine.begin() as connection:
        connection.execute(runs.delete())
        connection.execute(insert(runs), rows)
        connection.execute(update(tasks).values(first_seen=FIRST - timedelta(days=1)))


@pytest.mark.slow
def test_the_status_is_0_only_if_all_was_committed_once(ini, stored, pcron, engine_of_app):
    path = ini(EACH_TEN, settings=f'{stored}\ncron.app = shop')
    pcron('tick', path, '--at', '00:00')
    fill(engine_of_app, (-30, -20, -10, 0), 'shop')
    status, out, _ = pcron('audit', path, 'plain', *SINCE)
    assert (status, out.splitlines()[0]) == (0, 'plain: 4 of 4 due minutes committed once, none twice')
    status, out, _ = pcron('audit', path, 'plain', '--since', '48min', '--json')
    assert (status, json.loads(out)['counts']) == (1, {'committed once': 4, 'before the records': 1})
    fill(engine_of_app, (-30, -20, 0), 'shop')
    status, out, _ = pcron('audit', path, 'plain', *SINCE, '-v')
    assert (status, out.splitlines()[0]) == (1, 'plain: 3 of 4 due minutes committed once, 1 no record, none twice')
    assert '23:30  committed once' in out


def test_a_minute_that_has_just_come_due_waits_for_its_tick(ini, stored, pcron, engine_of_app):
    path = ini("plain, min=7, name='plain'", settings=f'{stored}\ncron.app = shop')
    pcron('tick', path, '--at', '00:06')
    fill(engine_of_app, (-10,), 'shop')
    status, out, _ = pcron('audit', path, 'plain', '--since', '00:05')
    assert status == 0
    assert '2026-12-24 00:07  waiting for its tick\n' in out
    assert 'waiting for its tick: it has just come due' in out
    assert 'in progress' not in out


def test_a_task_that_is_not_registered_any_more(ini, stored, pcron, engine_of_app):
    settings = f'{stored}\ncron.app = shop'
    pcron('tick', ini(EACH_TEN, settings=settings), '--at', '00:00')
    fill(engine_of_app, (-30, -20, -10, 0), 'shop')
    path = ini("plain, min=0, name='other'", settings=settings)
    assert pcron('audit', path, 'plain', *SINCE)[0] == 0
    status, _, err = pcron('audit', path, 'other', *SINCE)
    assert (status, err) == (1, 'pcron: nothing is known of other: no tick has come that knew it\n')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'problem'),
    [
        ((*SINCE,), 'name the one task to audit'),
        (('plain', 'apart', *SINCE), 'name the one task to audit'),
        (('plan', *SINCE), "no cron task is named 'plan'; is plain meant?"),
        (('apart', *SINCE), 'apart is not kept in cron.store (store=False): nothing is recorded of it'),
        (
            ('plain', '--since', 'once'),
            f"--since 'once' is not a time such as {PAST_EXAMPLES}",
        ),
        (
            ('plain', '--since', '2026-12-25'),
            "--since '2026-12-25' is in the future: it is Thu 2026-12-24 00:07 in Europe/Berlin",
        ),
        (
            ('plain', '--since', '00:01', '--until', 'tomorrow 02:00'),
            "--until 'tomorrow 02:00' is in the future: it is Thu 2026-12-24 00:07 in Europe/Berlin",
        ),
        (('plain', '--since', '00:01', '--until', '00:00'), "--until '00:00' is before --since '00:01'"),
        (('plain', '--since', '1999-01-01'), 'plain was due more than 200000 times then: name a shorter span'),
    ],
)
def test_bad_arguments(ini, stored, pcron, engine_of_app, arguments, problem):
    path = ini(EACH_TEN, "plain, min=0, name='apart', store=False", settings=f'{stored}\ncron.app = shop')
    pcron('tick', path, '--at', '00:00')
    fill(engine_of_app, (0,), 'shop')
    with engine_of_app.begin() as connection:
        connection.execute(update(tasks).values(first_seen=EPOCH))
    assert pcron('audit', path, *arguments)[::2] == (2, f'pcron: {problem}\n')


def test_it_needs_a_store(ini, pcron):
    status, _, err = pcron('audit', ini(EACH_TEN), 'plain', *SINCE)
    assert (status, err.startswith('pcron: audit needs cron.store')) == (2, True)
