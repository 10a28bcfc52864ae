"""The claims of the documentation in tables, messages and examples that take a set-up of their own.

The examples themselves are run by ``conftest.py`` at the top of the checkout.
"""

import contextlib
import functools
import importlib
import io
import json
import logging
import math
import os
import re
import shlex
import subprocess
import sys
import textwrap
from datetime import datetime, timedelta, timezone
from itertools import islice, takewhile
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import celery
import pytest
import sqlalchemy
import sqlalchemy.orm
import zope.sqlalchemy
from alembic import command as alembic_command
from alembic.config import Config
from prometheus_client.parser import text_string_to_metric_families
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from webtest import TestApp

from pyramid_cron import RunReport, Schedule, ScheduleWarning, Task, TaskReport, events, perform
from pyramid_cron.access import peers
from pyramid_cron.access.addresses import parse_network
from pyramid_cron.access.rules import Rules, Sender, refuse
from pyramid_cron.claims import Pause
from pyramid_cron.doctor import crontab_check
from pyramid_cron.doctor.address import parse_url
from pyramid_cron.doctor.answers import SentRequest, interpret
from pyramid_cron.doctor.crontab_lines import Crontab, lines_of
from pyramid_cron.doctor.request import Answer
from pyramid_cron.memory_claims import MemoryClaims
from pyramid_cron.monitoring.examine import Examination
from pyramid_cron.monitoring.problems import find_problems
from pyramid_cron.monitoring.watch import Watch
from pyramid_cron.outcomes import ALARMING
from pyramid_cron.quiet import quiet_text
from pyramid_cron.reports import Failures
from pyramid_cron.run_keys import write_key
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.scripts.columns import wrap
from pyramid_cron.scripts.history import read_history
from pyramid_cron.scripts.history_lines import format_history
from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.settings import PREFIX, TABLE
from pyramid_cron.store import metadata
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.schema import NOT_GOOD, gaps, runs
from pyramid_cron.store.snapshot import Snapshot
from pyramid_cron.store.sqlalchemy_version import require_sqlalchemy
from pyramid_cron.store.ticks import TickState
from pyramid_cron.task_texts import format_pause
from pyramid_cron.testing import tick
from pyramid_cron.times import TimeError, format_until, parse_minute, parse_past, parse_until
from tests.support import tcp_tables
from tests.support.servers import Clock

DOCS = Path(__file__).parent.parent / 'docs'
MINUTE = timedelta(minutes=1)
LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}
MOST_HIDDEN = 130


def page(name):
    return (DOCS / f'{name}.rst').read_text(encoding='utf-8')


def section(name, title):
    """Return the text of a page below a title, up to the next one."""
    found = re.search(rf'^{re.escape(title)}\n[-=~]+\n(.*?)(?=^[-=~]{{4,}}$|\Z)', page(name), re.DOTALL | re.MULTILINE)
    assert found, f'{name} has no section {title}'
    return found[1]


def rows(name, title, table=0):
    """Return the rows of a table in a section, without its header, as texts."""
    directive = r'\.\. csv-table::\n(?: +:.*\n)+\n((?: +\S.*\n)+)'
    lines = re.findall(directive, section(name, title))[table].splitlines()
    return [[cell.strip() for cell in line.split(' | ')] for line in lines[1:]]


def block(name, start):
    """Return the block of a page that begins with some text, without its indentation."""
    directive = r'^\.\. code-block:: \w+\n(?: +:.*\n)*\n((?: +\S.*\n|\n)+)'
    blocks = [textwrap.dedent(found).strip() for found in re.findall(directive, page(name), re.MULTILINE)]
    [found] = [text for text in blocks if text.startswith(start)]
    return found


def one_line(text):
    return ' '.join(text.split())


def alike(text):
    """Return the lines of a text without what differs from run to run: numbers and the machine's offset."""
    return re.sub(r'\d+', '0', re.sub(r'[-+]\d\d:\d\d\b', '+0', text)).strip().splitlines()


def report(system):
    pass


report.__module__ = 'myapp'


def made(text, **more):
    """Return the task of a schedule as it is written in a table."""
    return eval(f'Task(report, {text}, **more)', {'Task': Task, 'report': report, 'more': more})


def application(*tasks, **settings):
    """Return an application with tasks, each a dict of what add_cron_task takes."""
    with Configurator(settings={f'cron.{name}': value for name, value in settings.items()}) as config:
        config.include('pyramid_cron')
        for arguments in tasks:
            config.add_cron_task(**arguments)
    return config


def refused(**schedule):
    with pytest.raises(ConfigurationError) as caught:
        application({'f': report, **schedule})
    return str(caught.value)


def warned(**schedule):
    with pytest.warns(ScheduleWarning) as caught:
        application({'f': report, **schedule})
    [message] = [str(warning.message) for warning in caught]
    return message


MEANT = {
    'min=30': lambda m: m.minute == 30,
    'min=0, hour=(9, 17)': lambda m: m.minute == 0 and m.hour in (9, 17),
    'min=0, hour=range(9, 18)': lambda m: m.minute == 0 and 9 <= m.hour <= 17,
    "min='*'": lambda m: True,
    "min='*/15'": lambda m: m.minute in (0, 15, 30, 45),
    "min=0, hour='9-17'": lambda m: m.minute == 0 and 9 <= m.hour <= 17,
    "min=0, hour=0, day='1,15'": lambda m: (m.minute, m.hour) == (0, 0) and m.day in (1, 15),
    "min='0-59/10'": lambda m: m.minute in (0, 10, 20, 30, 40, 50),
    "min='5-59/15'": lambda m: m.minute in (5, 20, 35, 50),
    "min=0, hour='0-5/2,12,20-22'": lambda m: m.minute == 0 and m.hour in (0, 2, 4, 12, 20, 21, 22),
    "min=0, hour=6, day=1, month='jan,jul'": lambda m: (m.minute, m.hour, m.day) == (0, 6, 1) and m.month in (1, 7),
    "min=0, hour=6, dow='mon-fri'": lambda m: (m.minute, m.hour) == (0, 6) and m.isoweekday() <= 5,
    'min=0, hour=6, dow=0': lambda m: (m.minute, m.hour, m.isoweekday()) == (0, 6, 1),
    "cron='*/15 9-17 * * mon-fri'": lambda m: m.minute % 15 == 0 and 9 <= m.hour <= 17 and m.isoweekday() <= 5,
    "cron='0 2 * * 0'": lambda m: (m.minute, m.hour, m.isoweekday()) == (0, 2, 7),
    # of the quick start
    "min='*/5'": lambda m: m.minute % 5 == 0,
    'min=0': lambda m: m.minute == 0,
    'min=0, hour=2': lambda m: (m.minute, m.hour) == (0, 2),
    'min=0, hour=range(0, 24, 3)': lambda m: m.minute == 0 and m.hour % 3 == 0,
    'min=(0, 30), hour=range(9, 18)': lambda m: m.minute in (0, 30) and 9 <= m.hour <= 17,
    "min=30, hour=6, dow='mon-fri'": lambda m: (m.minute, m.hour) == (30, 6) and m.isoweekday() <= 5,
    "min=0, hour=4, dow='sun'": lambda m: (m.minute, m.hour, m.isoweekday()) == (0, 4, 7),
    'min=0, hour=6, day=1': lambda m: (m.minute, m.hour, m.day) == (0, 6, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'title'), [('schedules', 'What can be written'), ('quickstart', 'Ten common schedules')]
)
def test_the_forms_of_a_table_are_due_as_it_shows(name, title):
    # with a first, a 15th, the first of July, and all days of the week
    days = [datetime(2026, 6, 29) + number * MINUTE for number in range(17 * 1440)]
    table = rows(name, title)
    for form, due in table:
        if '@' in form:
            line = re.search('``(.*?)``', due)[1]
            assert made(form.strip('`')).schedule == Schedule.from_line(line), form
        else:
            found = list(filter(made(form.strip('`')).check, days))
            assert found == list(filter(MEANT[form.strip('`')], days)), form
    assert len(table) >= 10


def test_the_two_nicknames_that_have_no_row_are_the_same_as_those_beside_them():
    assert made("cron='@midnight'").schedule == made("cron='@daily'").schedule
    assert made("cron='@annually'").schedule == made("cron='@yearly'").schedule


def test_the_days_of_the_week_are_those_of_the_table():
    table = rows('schedules', 'Days of the week')
    assert [row[0] for row in table] == ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']
    week = [datetime(2026, 3, 2 + day) for day in range(7)]
    for number, (_, integer, text, in_line) in enumerate(table):
        writings = [f'min=0, hour=0, dow={integer}', f'min=0, hour=0, dow={text.strip("`")}']
        writings += [f"cron='0 0 * * {value}'" for value in re.findall(r'\w+', in_line.replace(' or ', ' '))]
        for writing in writings:
            assert [day.weekday() for day in week if made(writing).check(day)] == [number], writing
    assert made("cron='0 0 * * 6-7'").schedule == made("cron='0 0 * * sat,sun'").schedule


def test_the_relative_days_are_those_of_the_table():
    begin = datetime(2026, 5, 1, tzinfo=timezone.utc)
    due = [['05-31', '06-30'], ['05-29', '06-30'], ['05-08', '06-12'], ['05-29', '06-26']]
    table = rows('schedules', 'The last day, the second Friday')
    for (_, keywords, in_line), days in zip(table, due, strict=True):
        schedules = [made(keywords.strip('`')).schedule]
        schedules += [Schedule.from_line(line) for line in re.findall('``(.*?)``', in_line)]
        assert len(set(schedules)) == 1 < len(schedules), keywords
        assert [f'{run:%m-%d %H:%M}' for run in islice(schedules[0].runs(begin), 2)] == [f'{day} 02:00' for day in days]
    either, both = Schedule.from_line('0 2 L * fri'), made("min=0, hour=2, day='last', dow='fri'").schedule
    assert [f'{run:%m-%d}' for run in islice(either.runs(begin), 6)] == [
        '05-01',
        *(f'05-{n:02}' for n in (8, 15, 22, 29, 31)),
    ]
    assert [f'{run:%m-%d}' for run in islice(both.runs(begin), 1)] == ['07-31']


@pytest.mark.parametrize(
    ('start', 'message', 'schedule'),
    [
        ('cron task myapp.report: min is', warned, {'hour': 2}),
        ('cron task myapp.report: hour is', warned, {'min': 0, 'dow': 'mon'}),
        ('cron task myapp.report: dow=', refused, {'min': 0, 'dow': '1-5'}),
        ('cron task myapp.report: hour=24', refused, {'min': 0, 'hour': 24}),
        ("cron task myapp.report: 'Europe/Berln'", refused, {'min': 0, 'timezone': 'Europe/Berln'}),
    ],
)
def test_the_messages_of_schedules_are_those_that_are_shown(start, message, schedule):
    assert message(**schedule) == one_line(block('schedules', start))


def test_refused_schedules_have_the_messages_of_the_table():
    for line, expected in rows('schedules', 'What is refused'):
        message = refused(cron=line.strip('`'))
        assert expected.replace('``', '') in message, message
    assert "write cron='0 2 * * *' and" in refused(min='0 2 * * *')
    assert "write dow='mon,fri';" in refused(min=0, hour=0, dow=['mon', 'fri'])
    assert 'leave hour out if' in refused(min=0, hour=None)
    assert 'write hour=range(0, 24, 3)' in warned(min=0, hour=(0, 24, 3))


CHANGES = [
    ('Forward by an hour', 0, '2026-03-29', 'Europe/Berlin'),
    ('Back by an hour', 0, '2026-10-25', 'Europe/Berlin'),
    ('By half an hour', 0, '2026-10-04', 'Australia/Lord_Howe'),
    ('By half an hour', 1, '2026-04-05', 'Australia/Lord_Howe'),
]


def on(date, zone, line):
    """Return the runs on a date, asking both ways."""
    due = Task(report, cron=line, timezone=zone)
    midnight = datetime.fromisoformat(date).replace(tzinfo=ZoneInfo(zone))
    coming = takewhile(lambda run: run.date() <= midnight.date(), due.runs(midnight - MINUTE))
    found = [run for run in coming if run.date() == midnight.date()]
    begin = midnight.astimezone(timezone.utc)
    instants = [(begin + number * MINUTE).astimezone(ZoneInfo(zone)) for number in range(26 * 60)]
    assert [at for at in instants if due.check(at) and at.date() == midnight.date()] == found, (date, zone, line)
    return [f'{run:%H:%M}' + run.isoformat()[-6:] for run in found]


@pytest.mark.slow
@pytest.mark.parametrize(('title', 'table', 'date', 'zone'), CHANGES)
def test_the_runs_on_days_on_which_the_clocks_change_are_those_of_the_tables(title, table, date, zone):
    listed = rows('clockchanges', title, table)
    assert listed
    for line, kind, due in listed:
        assert on(date, zone, line.strip('`')) == ([] if due == 'none' else due.split(', ')), line
        assert Schedule.from_line(line.strip('`')).interval == (kind == 'interval'), line


def test_the_two_kinds_of_the_same_minutes_differ_on_the_long_day():
    assert len(on('2026-10-25', 'Europe/Berlin', '0 * * * *')) == 25
    assert len(on('2026-10-25', 'Europe/Berlin', '0 0-23 * * *')) == 24


def test_the_log_has_the_minute_that_is_caught_up(caplog):
    caplog.set_level('INFO')
    config = application({'f': report, 'min': 30, 'hour': 2}, timezone='Europe/Berlin')
    tick(config.registry, datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc))
    assert block('clockchanges', '03:00:01').partition('INFO ')[2] in caplog.messages


def test_every_setting_is_described_once_with_its_default():
    described = re.findall(r'^``cron\.(\w+)``\n    Default: \|cron\.(\w+)\|', page('settings'), re.MULTILINE)
    assert described == [(name, name) for name in TABLE]


def test_the_message_of_a_bad_setting_is_the_one_that_is_shown():
    with pytest.raises(ConfigurationError) as caught:
        application(window='0')
    assert str(caught.value) == block('settings', f'bad setting {PREFIX}window')


def test_the_commands_of_the_table_are_understood():
    commands = [re.match('``pcron (.*?)``', row[0]) for row in rows('pcron', 'The command pcron')]
    commands = [found[1] for found in commands if found]
    assert len(commands) == 40
    for command in commands:
        PCronCommand(['pcron', *shlex.split(command)])
    shown = set(re.findall(r'^ +pcron (doctor|show|list|history) ', page('troubleshooting'), re.MULTILINE))
    assert shown == {'doctor', 'show', 'list', 'history'}


def test_the_ends_of_pauses_are_understood():
    monday = datetime(2026, 11, 30, 11, 0, tzinfo=timezone.utc)
    texts = [text for row in rows('pauses', 'Until when') for text in re.findall('``(.*?)``', row[0])]
    assert texts[:4] == ['06:00', 'tomorrow', 'tomorrow 06:00', 'today 18:00']
    ends = {text: parse_until(text, monday, timezone.utc) for text in texts}
    assert ends['monday'] == ends['monday 06:00'] - timedelta(hours=6) == datetime(2026, 12, 7, tzinfo=timezone.utc)
    assert len(ends) == 14


def test_the_times_of_commands_are_understood():
    now = datetime(2026, 12, 24, 1, 4, tzinfo=timezone.utc)
    past, _, at = section('pcron', 'Times').partition('``--at``')
    texts = [text for text in re.findall('``(.*?)``', past) if not text.startswith(('--', 'pcron'))]
    assert len(texts) == 10
    for text in texts[1:]:
        assert parse_past(text, now, None) <= now
    # of a later day than now is the minute of the example
    with pytest.raises(TimeError, match='in the future'):
        parse_past('2026-12-24 02:00', now - timedelta(days=9), None)
    for text in re.findall('``(.*?)``', at)[:3]:
        assert parse_minute(text, now, None)


def test_the_answer_of_a_pause_is_the_one_that_is_shown():
    berlin = ZoneInfo('Europe/Berlin')
    now, until = datetime(2026, 11, 30, 16, 40, tzinfo=berlin), datetime(2026, 12, 1, 6, 0, tzinfo=berlin)
    assert format_until(until, now, berlin) in block('pauses', 'shop.invoices is paused until Tue')
    shown = block('pauses', 'shop.invoices is paused until it is resumed')
    assert shown.endswith(f'replaces the pause {format_pause(Pause(until, "the bank is down", "ada"), berlin)}')


def test_the_findings_about_the_line_of_the_old_release_are_those_that_are_shown():
    own, proxy = 'http://localhost:6543/cron', 'http://localhost/cron'
    config = Configurator(settings={'cron.app': 'shop'})
    config.include('pyramid_cron')
    app = TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'})
    [line] = lines_of(Crontab('the crontab of shop', f'* * * * * curl -o /dev/null {proxy}\n', 'shop'))
    checked = crontab_check.Application('/cron', '/shop.ini', None, 'shop', has_store=False)
    findings = list(crontab_check.examine_triggers(list(crontab_check.triggers_of([line], checked)), checked))
    for url, headers in {own: {}, proxy: {'Via': '1.1 proxy'}}.items():
        response = app.get('/cron?check', headers=headers, expect_errors=True)
        sent = SentRequest(parse_url(url, '/cron'), 'shop', '/cron', 'shop', own=parse_url(own, '/cron'))
        findings.append(interpret(sent, Answer(response.status_int, response.text)))
    findings[2] = findings[2]._replace(text=f'{line.place}: {findings[2].text}')
    lines = [
        part
        for finding in (findings[1], findings[0], findings[2])
        for part in wrap(f'{finding.status:4}  {finding.topic:8}  ', str(finding), 80)
    ]
    assert [part.rstrip() for part in lines] == block('upgrading', 'ok    request').splitlines()


# the first two runs of 2026, and how many there are in its first 13 weeks
SCHEMES = {
    'Celery': [
        (['Thu 01 Jan 00:00', 'Thu 01 Jan 00:01'], 131040),
        (['Thu 01 Jan 02:00', 'Fri 02 Jan 02:00'], 91),
        (['Thu 01 Jan 00:00', 'Thu 01 Jan 00:15'], 8736),
        (['Thu 01 Jan 00:00', 'Thu 01 Jan 03:00'], 1365),
        (['Mon 05 Jan 07:30', 'Mon 12 Jan 07:30'], 13),
        (['Thu 01 Jan 07:30', 'Fri 02 Jan 07:30'], 65),
        (['Sun 04 Jan 04:00', 'Sun 11 Jan 04:00'], 13),
        (['Thu 01 Jan 00:00', 'Thu 01 Jan 01:00'], 455),
        (['Fri 02 Jan 00:00', 'Sun 04 Jan 00:00'], 44),
        (['Thu 01 Jan 00:00', 'Wed 01 Apr 00:00'], 2),
        (['Mon 05 Jan 08:00', 'Mon 02 Feb 08:00'], 3),
    ],
    'APScheduler': [
        (['Thu 01 Jan 00:00', 'Thu 01 Jan 00:01'], 131040),
        (['Thu 01 Jan 02:00', 'Fri 02 Jan 02:00'], 91),
        (['Thu 01 Jan 00:00', 'Thu 01 Jan 03:00'], 728),
        (['Thu 01 Jan 00:05', 'Thu 01 Jan 00:20'], 8736),
        (['Mon 05 Jan 07:30', 'Mon 12 Jan 07:30'], 13),
        (['Thu 01 Jan 07:00', 'Fri 02 Jan 07:00'], 65),
        (['Sat 03 Jan 07:00', 'Sun 04 Jan 07:00'], 26),
        (['Fri 09 Jan 07:00', 'Fri 13 Feb 07:00'], 3),
        (['Sat 31 Jan 07:00', 'Sat 28 Feb 07:00'], 3),
        (['Thu 01 Jan 00:00', 'Wed 01 Jul 00:00'], 1),
        (['Mon 05 Jan 02:00', 'Mon 12 Jan 02:00'], 13),
        (['Thu 01 Jan 02:00', 'Fri 02 Jan 02:00'], 65),
        (['Mon 05 Jan 02:00', 'Mon 02 Feb 02:00'], 3),
    ],
    'a crontab': [
        (['Thu 01 Jan 02:00', 'Fri 02 Jan 02:00'], 91),
        (['Thu 01 Jan 08:00', 'Thu 01 Jan 08:10'], 3900),
        (['Sun 04 Jan 03:15', 'Sun 11 Jan 03:15'], 13),
        (['Thu 01 Jan 06:00', 'Mon 05 Jan 06:00'], 20),
        (['Thu 01 Jan 00:00', 'Fri 02 Jan 00:00'], 91),
        (['Thu 01 Jan 00:00', 'Thu 01 Jan 01:00'], 455),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize('scheme', SCHEMES)
def test_what_replaces_the_schedules_of_others_is_due_as_theirs_are(scheme):
    table, expected = rows('migrating', f'From {scheme}'), SCHEMES[scheme]
    assert len(table) == len(expected)
    before = datetime(2025, 12, 31, 23, 59, tzinfo=timezone.utc)
    for (theirs, _, ours), (first, count) in zip(table, expected, strict=True):
        due = made(ours.strip('`'), timezone='UTC')
        runs_of_2026 = list(islice(due.runs(before), 2))
        in_13_weeks = sum(1 for _ in takewhile(lambda run: run <= before + timedelta(weeks=13), due.runs(before)))
        assert ([f'{run:%a %d %b %H:%M}' for run in runs_of_2026], in_13_weeks) == (first, count), theirs


def in_shop(name, work):
    """Return the arguments of a task of the shop of the pages."""
    return {'f': work, 'name': f'shop.tasks.{name}', 'idle': name == 'tidy'}


def succeed(system):
    pass


def fail(system):
    raise ConnectionError('the other side is down')


def shop(**settings):
    tasks = [in_shop('send_mail', succeed), in_shop('sync', fail), in_shop('tidy', lambda system: None)]
    return TestApp(application(*tasks, **settings).make_wsgi_app(), extra_environ=LOCAL)


def logged(records):
    records = [record for record in records if 'REMOTE_PORT' not in record.getMessage()]
    return '\n'.join(map(logging.Formatter('%(asctime)s %(levelname)s %(message)s', '%H:%M:%S').format, records))


def test_the_log_of_a_minute_is_the_one_that_is_shown(caplog):
    caplog.set_level('INFO')
    shop(window='1e-9').get('/cron', status=500)
    text = logged(caplog.records).replace('1e-09', '60')
    text = re.sub(r'(?<=last\):\n).*?(?=\nConnectionError)', '  ...', text, flags=re.DOTALL)
    assert alike(text) == alike(block('monitoring', '09:30:00'))


def test_the_answers_are_those_of_the_table(caplog):
    ok, _, stopped, again, failed, retried, stuck, _ = (
        re.match('``(.*?)``', row[1])[1] for row in rows('monitoring', 'The answer')
    )
    app = application(in_shop('send_mail', succeed))
    at = datetime(2026, 3, 1, 9, 30, tzinfo=timezone.utc)
    assert str(tick(app.registry, at)) == ok
    assert alike(str(tick(app.registry, at))) == alike(again)
    assert shop().get('/cron', status=500).text.startswith(re.match(r'fail: \d', failed)[0].replace('2', '1'))
    seconds = iter([0, 751, 751])
    app.registry['cron_claims'] = claims = MemoryClaims(lambda: next(seconds))
    [task] = app.registry['cron_tasks']
    claims.claim(task, None)
    assert alike(str(tick(app.registry, at + MINUTE))) == alike(stuck)
    reports = [TaskReport('shop.tasks.sync', 'failed', excuse='retrying'), *[TaskReport('other', 'ok')] * 6]
    assert str(RunReport(at, None, 0.0, tuple(reports))) == retried
    reports[0] = TaskReport('shop.tasks.export', 'stopped', reason='by ada')
    assert str(RunReport(at, None, 0.0, tuple(reports))) == stopped
    assert 'task shop.tasks.send_mail is stuck: running for 12 min 31 s' in caplog.messages


def test_the_report_has_the_form_that_is_shown():
    found = shop(window='1e-9').get('/cron', headers={'Accept': 'application/json'}, status=500).json

    def form(report):
        tasks = [{**task, 'seconds': type(task['seconds'])} for task in report['tasks']]
        return {**report, 'minute': len(report['minute']), 'seconds': type(report['seconds']), 'tasks': tasks}

    assert form(found) == form(json.loads(block('monitoring', '{')))


def test_the_sections_that_messages_name_exist():
    sources = Path(peers.__file__).parents[1].rglob('*.py')
    named = {found for path in sources for found in re.findall(r'"([^"\n]+)" in docs/(\w+)\.rst', path.read_text())}
    assert ('A tick fails', 'troubleshooting') in named
    for title, name in named:
        assert re.search(rf'^{re.escape(title)}.*\n-{{4,}}$', page(name), re.MULTILINE), (title, name)


REFUSAL = 'refused a request to run cron tasks: '
REFUSALS = [
    ({'REMOTE_ADDR': '10.20.0.7'}, {}, 403, 'is not in cron.allowed_ips'),
    ({'HTTP_X_FORWARDED_FOR': '203.0.113.9'}, {}, 403, 'it came through'),
    ({'HTTP_HOST': 'app1.example.com'}, {}, 403, 'its header Host'),
    ({}, {'secret': 'correct horse battery staple'}, 401, 'it does not carry'),
    ({'REQUEST_METHOD': 'HEAD'}, {}, 405, 'the method'),
]


def shown_refusal(words):
    """Return the row about a refusal with some words, as the text in the log and the remedy."""
    title = 'The request is refused: 401, 403, 405'
    [(cell, remedy)] = [row for row in rows('troubleshooting', title) if words in row[0]]
    return cell.strip('`'), remedy


@pytest.mark.parametrize(('environ', 'settings', 'status', 'words'), REFUSALS)
def test_refusals_are_logged_as_shown(environ, settings, status, words, caplog):
    answer = Request.blank('/cron', {**LOCAL, **environ}).get_response(application(**settings).make_wsgi_app())
    assert answer.status_int == status
    assert caplog.messages[-1].startswith(REFUSAL)
    assert shown_refusal(words)[0] in caplog.messages[-1]
    assert one_line(section('troubleshooting', 'The request is refused: 401, 403, 405')).count(REFUSAL.strip()) == 1


@pytest.mark.parametrize(
    ('uid', 'port', 'words', 'remedies'),
    [
        (33, '4711', 'www-data', ['--local-port 600-1023', 'cron.secret']),
        (0, '40312', 'the account root', ['--local-port 600-1023', 'cron.secret']),
        (1000, None, 'REMOTE_PORT', ['waitress', 'gunicorn', 'cron.peer_check = off', 'cron.secret']),
    ],
)
def test_refusals_of_accounts_are_worded_as_shown(tmp_path, monkeypatch, uid, port, words, remedies):
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    table = tmp_path / 'tcp'
    table.write_text(tcp_tables.line(uid, port=int(port or 4711)))
    environ = {'wsgi.version': (1, 0), 'REMOTE_PORT': port, 'SERVER_PORT': '6543'}
    rules = Rules(None, (parse_network('127.0.0.1'),))
    refusal = refuse(rules, Sender('GET', '127.0.0.1', environ), print, (str(table),))
    shown, remedy = shown_refusal(words)
    assert shown.replace('www-data (33)', peers.account_name(33)) in refusal.why
    for text in remedies:
        assert text in refusal.remedy
        assert text in remedy


def test_only_its_owner_can_read_the_header_file_of_a_secret(tmp_path):
    command = block('security', '(umask')
    subprocess.run(['sh', '-c', command], env={'HOME': str(tmp_path), 'PATH': os.environ['PATH']}, check=True)
    header = tmp_path / '.cron-header'
    assert header.stat().st_mode & 0o777 == 0o600
    name, secret = header.read_text().rstrip('\n').split(': Bearer ')
    app = TestApp(application({'f': report, 'min': '*'}, secret=secret).make_wsgi_app())
    assert app.get('/cron', headers={name: f'Bearer {secret}'}).text == 'ok'
    app.get('/cron', status=401)


def test_every_event_is_listed_with_its_attributes():
    known = {}
    for event, attributes in rows('monitoring', 'Events'):
        interface = getattr(events, 'I' + event.strip('`'))
        named = set(re.findall('``([a-z_]+)``', attributes.partition(';')[0]))
        inherited = set().union(*(set(base) for base in interface.__bases__))
        assert named | inherited == set(interface), event
        known[interface.__name__] = interface
    assert known.keys() == {name for name in vars(events) if re.match('I[A-Z]', name)} - {'Interface'}


@pytest.fixture
def with_store(tmp_path):
    """Make applications with a store, and close their connections at the end."""
    made = []

    def make(*tasks, **settings):
        url = f'sqlite:///{tmp_path}/cron.sqlite'
        made.append(application(*tasks, **{'store': url, 'timezone': 'UTC', **settings}))
        return made[-1]

    yield make
    for config in made:
        config.registry['cron_store'].database.engine.dispose()


def test_health_and_metrics_are_as_described(with_store):
    app = TestApp(with_store({'f': report, 'min': '*'}).make_wsgi_app(), extra_environ=LOCAL)
    app.get('/cron')
    assert alike(app.get('/cron/health', status=200).text) == alike(block('health', 'ok, last tick'))
    names = app.get('/cron/health', headers={'Accept': 'application/json'}).json
    assert all(f'``{name}``' in section('health', 'Health') for name in names)
    families = text_string_to_metric_families(app.get('/cron/metrics').text)
    assert {f'``{family.name}``' for family in families} == {row[0] for row in rows('health', 'Metrics')}


def test_each_task_of_the_page_of_the_store_does_as_described(with_store):
    namespace = {'__name__': 'each'}
    exec(block('store', 'def remind(system)'), namespace)
    config = with_store()
    namespace['includeme'](config)
    config.commit()
    at = datetime(2026, 3, 1, 8, 58, tzinfo=timezone.utc)
    tick(config.registry, at)
    # no tick comes at 9:00, and at 9:07 either
    assert tick(config.registry, at + 4 * MINUTE).tasks == ()
    assert tick(config.registry, at + 30 * MINUTE).names('ok') == ['each.sync']
    assert tick(config.registry, at + 32 * MINUTE).names('ok') == ['each.warm_up']


def ran(clock, task, outcome='ok', minute=None, seconds=0.0, pid=4711, host='web1', attempt=1, **more):
    began = datetime.fromisoformat(f'2026-03-01T{clock}+01:00')
    return {
        'id': f'{clock} {minute}',
        'app': 'shop',
        'task': f'shop.{task}',
        'outcome': outcome,
        'started': began,
        'scheduled_for': began if minute is None else datetime.fromisoformat(f'2026-03-01T{minute}:00+01:00'),
        'seconds': seconds,
        'pid': pid,
        'host': host,
        'attempt': attempt,
        'trigger': 'request',
        'error': None,
        'reason': None,
        'requested_by': None,
        **more,
    }


def test_the_history_is_shown_as_pcron_shows_it():
    invoices = {'f': report, 'min': 0, 'hour': 2, 'name': 'shop.invoices', 'catch_up': 600}
    sync = {'f': report, 'min': '*/10', 'name': 'shop.sync', 'retries': 1}
    config = application(invoices, sync, timezone='Europe/Berlin')
    first, last = datetime(2026, 3, 1, 0, 58, tzinfo=timezone.utc), datetime(2026, 3, 1, 1, 7, tzinfo=timezone.utc)
    past_runs = [
        ran('01:50:00', 'sync', seconds=0.012),
        ran('02:08:00', 'sync', 'missed', '02:00', pid=None, host=None, attempt=0),
        ran('02:08:00', 'invoices', minute='02:00', seconds=1.204, pid=5021) | {'id': 'late'},
        ran('02:10:00', 'sync', 'failed', seconds=0.31, pid=5021, error='TimeoutError'),
        ran('02:11:00', 'sync', 'lost', '02:10', pid=5021, attempt=2, reason='process 5021 on web1, since 02:11'),
        ran('02:12:03', 'sync', seconds=0.009, pid=812, host='admin', requested_by='ada') | {'scheduled_for': None},
    ]
    engine = sqlalchemy.create_engine('sqlite://')
    metadata.create_all(engine)
    now, tasks = last + 6 * MINUTE, list(config.registry['cron_tasks'])
    snapshot = Snapshot({}, TickState(last + 5 * MINUTE, last + 5 * MINUTE, None), now)
    problems = find_problems(snapshot, tasks, 60)
    with engine.begin() as connection:
        marked = [row | {'not_good': NOT_GOOD.get(row['outcome'])} for row in past_runs]
        connection.execute(sqlalchemy.insert(runs), marked)
        connection.execute(sqlalchemy.insert(gaps).values(app='shop', first_minute=first, last_minute=last))
        queries, examination = Queries(StoreConnection(connection, 'shop')), Examination(snapshot, problems)
        history = read_history(queries, examination, tasks, limit=50)
    engine.dispose()
    assert '\n'.join(format_history(history, now, ZoneInfo('Europe/Berlin'), 80, False)) == block(
        'history', 'Sun 2026-03-01'
    )


def test_alembic_makes_the_tables_as_described(tmp_path, monkeypatch):
    namespace = {}
    exec(block('alembic', 'import pyramid_cron.store\n\n\ndef render_item'), namespace)
    monkeypatch.setitem(sys.modules, 'of_the_page', SimpleNamespace(render_item=namespace['render_item']))
    folder = tmp_path / 'migrations'
    alembic = Config(stdout=io.StringIO(), output_buffer=io.StringIO())
    alembic.set_main_option('script_location', str(folder))
    alembic.set_main_option('path_separator', 'os')
    alembic.config_file_name = str(tmp_path / 'alembic.ini')
    engine = sqlalchemy.create_engine(f'sqlite:///{tmp_path}/migrated.sqlite')
    with contextlib.redirect_stdout(io.StringIO()), engine.begin() as connection:
        alembic_command.init(alembic, str(folder))
        (folder / 'env.py').write_text(
            'from alembic import context\n'
            'from of_the_page import render_item\n'
            'import pyramid_cron.store\n'
            "connection = context.config.attributes['connection']\n"
            'target_metadata = [pyramid_cron.store.metadata]\n'
            'context.configure(connection=connection, target_metadata=target_metadata, render_item=render_item)\n'
            'with context.begin_transaction():\n'
            '    context.run_migrations()\n'
        )
        alembic.attributes['connection'] = connection
        alembic_command.revision(alembic, autogenerate=True)
        alembic_command.upgrade(alembic, 'head')
        # nothing is left to migrate
        alembic_command.check(alembic)
        there = set(sqlalchemy.inspect(connection).get_table_names())
    engine.dispose()
    assert set(re.findall('``(cron_[a-z]+)``', section('databases', 'The tables'))) == there - {'alembic_version'}
    assert f'all {len(metadata.tables)} are there' in page('exactlyonce')


def test_an_old_sqlalchemy_is_refused_as_described():
    with pytest.raises(ConfigurationError) as caught:
        require_sqlalchemy('1.4.54')
    assert one_line(block('applications', 'cron.store: SQLAlchemy')) == str(caught.value)


def test_the_check_of_the_store_warns_of_alembic_as_described(tmp_path, write_module, monkeypatch, capsys):
    module = write_module(
        'from pyramid.config import Configurator\n'
        'def main(global_config, **settings):\n'
        '    with Configurator(settings=settings) as config:\n'
        "        config.include('pyramid_cron')\n"
        '    return config.make_wsgi_app()\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '80')
    env = Path('shop/alembic/env.py')
    env.parent.mkdir(parents=True)
    env.touch()
    url = f'sqlite:///{tmp_path}/shop.sqlite'
    Path('shop.ini').write_text(
        f'[app:main]\nuse = call:{module}:main\ncron.store = {url}\n[alembic]\nscript_location = shop/alembic\n'
    )
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text('CREATE TABLE alembic_version (version_num VARCHAR(32))'))
    engine.dispose()
    command = PCronCommand(['pcron', 'store', 'check', 'shop.ini'])
    assert command.run() == 0
    command.registry['cron_store'].database.engine.dispose()
    assert block('alembic', 'warn  alembic') in capsys.readouterr().out


def recipe(start):
    namespace = {'__name__': 'recipe'}
    exec(block('recipes', start), namespace)
    return namespace


def test_the_chat_receives_the_events_of_the_store(with_store, capsys):
    config = with_store({'f': report, 'min': '*', 'name': 'shop.mails'})
    recipe('from pyramid_cron.events import ITaskLost')['includeme'](config)
    config.commit()
    store = config.registry['cron_store']
    tick(config.registry, datetime(2026, 3, 1, tzinfo=timezone.utc))
    store.pause(['shop.mails'], reason='the mail server moves')
    store.resume(['shop.mails'])
    assert capsys.readouterr().out.splitlines() == ['TaskPaused: shop.mails', 'TaskResumed: shop.mails']


HANDED_OVER = {'cron.app': 'shop', 'cron.timezone': 'UTC', 'cron.config_uri': '/srv/shop/shop.ini'}


def executed(name, *starts, **names):
    """Return the names that blocks of a page define, one after another."""
    namespace = {'__name__': 'myapp', **names}
    for start in starts:
        exec(block(name, start), namespace)
    return namespace


def handing_over(includeme, **settings):
    """Return an application that enqueues its tasks, with a Celery without workers."""
    app = celery.Celery('shop', set_as_current=False)
    with Configurator(settings={**HANDED_OVER, 'cron.celery': app, **settings}) as config:
        config.include('pyramid_cron')
        includeme(config)
    return config.make_wsgi_app()


def test_tasks_are_enqueued_as_the_page_of_queues_shows(capsys):
    found = executed('queues', 'def send(handover)')
    app = handing_over(found['includeme'])
    assert [str(task.engine) for task in app.registry['cron_tasks']][:1] == ['celery:queue=large,priority=3']
    tick(app.registry, datetime(2026, 11, 24, 4, tzinfo=timezone.utc))
    assert capsys.readouterr().out == 'pcron perform /srv/shop/shop.ini shop:myapp.archive@2026-11-24T04:00Z\n'


def test_an_enqueued_task_finds_what_its_page_describes():
    found = {}
    app = handing_over(lambda config: config.add_cron_task(found.update, name='look', via=print, min=30))
    now = current_minute()
    assert perform(app, write_key('shop', 'look', now, None)).outcome == 'ok'
    assert (found['time_left'](), found['scheduled_for']) == (math.inf, now)
    two = datetime(2026, 11, 24, 2, tzinfo=timezone.utc)
    assert write_key('shop', 'myapp.invoices', two, None) in page('enqueued')


def test_the_map_for_contributors_names_every_package_and_module():
    package = Path(peers.__file__).parents[1]
    packages = [f'{path.parent.name}/' for path in package.glob('*/__init__.py')]
    modules = [path.name for path in package.glob('*.py')]
    for number, column, expected in ((0, 0, packages), (1, 1, modules)):
        cells = [row[column] for row in rows('contributing', 'Where things are', number)]
        assert sorted(re.findall('``(.*?)``', ' '.join(cells))) == sorted(expected)
    # which the command above the map prints
    for path in package.rglob('*.py'):
        assert re.match(r'(#.*\n)?"""(?!Wh(at|o|ose|ether|ich)\b)[A-Z`].{15,}', path.read_text(encoding='utf-8')), path


HIDDEN = re.compile(r'^( *)\.\. invisible-code-block: python\n(?:\n|\1    .*\n)*', re.MULTILINE)


def test_the_mail_of_cron_is_the_quiet_answer():
    body = block('troubleshooting', 'From: root').partition('500\n')[2]
    at = datetime(2026, 3, 1, 9, 30, tzinfo=timezone.utc)
    tasks = (
        TaskReport('shop.tasks.report', 'failed', exception=KeyError(), failures=Failures(2)),
        TaskReport('shop.tasks.send_mail', 'ok'),
        TaskReport(
            'shop.tasks.sync', 'failed', exception=ConnectionError(), failures=Failures(2, None, at - 2 * MINUTE)
        ),
    )
    assert quiet_text(RunReport(at, ZoneInfo('UTC'), 1.0, tasks)) == body + '\n'
    alone = TaskReport('sync', 'failed', exception=ConnectionError(), failures=Failures(2, at - MINUTE))
    known = quiet_text(RunReport(at, ZoneInfo('UTC'), 1.0, (alone,))).partition('; ')[2].strip()
    assert known in one_line(section('troubleshooting', 'cron sends a mail'))


def test_each_phrase_of_a_mail_has_a_row():
    shown = ' '.join(cells[0] for cells in rows('troubleshooting', 'Troubleshooting'))
    for outcome in ALARMING:
        task = TaskReport('task', outcome, reason='running for 12 min')
        [_, line] = quiet_text(RunReport(current_minute(), None, 1.0, (task,))).splitlines()
        assert line.removeprefix('task: ').partition(';')[0] in shown


def test_the_pages_hide_few_lines():
    counts = {path.stem: sum(m[0].count('\n') for m in HIDDEN.finditer(page(path.stem))) for path in DOCS.glob('*.rst')}
    assert sum(counts.values()) <= MOST_HIDDEN, counts


def test_the_mails_about_ticks_that_stop(write_module, tmp_path, caplog):
    alarms, sent, clock = importlib.import_module(write_module(block('watch', 'import smtplib'))), [], Clock()
    alarms.send = sent.append
    settings = {'cron.store': f'sqlite:///{tmp_path}/cron.sqlite', 'cron.app': 'shop', 'cron.timezone': 'UTC'}
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.scan(alarms)
    watch = Watch(config.registry, clock)
    tick(config.registry, datetime(2026, 3, 1, 9, 12, tzinfo=timezone.utc))
    for _ in range(4):
        watch.run()
        clock.sleep(60)
    tick(config.registry, datetime(2026, 3, 1, 9, 20, tzinfo=timezone.utc))
    config.registry['cron_store'].database.engine.dispose()
    assert sent == [
        'No task runs: the last tick came at 2026-03-01 09:12:00+00:00',
        'Tasks run again: a tick came at 2026-03-01 09:20:00+00:00',
    ]
    logged = [record.getMessage() for record in caplog.records if record.levelname == 'ERROR']
    without_age = functools.partial(re.sub, r'\(.*\)', '')
    assert list(map(without_age, logged)) == [without_age(block('watch', 'ticks have stopped'))]


@pytest.mark.parametrize(('requests', 'seen'), [('one', ['', '']), ('each', ['internal', 'internal'])])
def test_a_tween_sets_up_the_transaction_of_each_task(write_module, postgresql, requests, seen):
    module = write_module(block('requests', 'from sqlalchemy import text'))
    engine, found = sqlalchemy.create_engine(postgresql), []

    def dbsession(request):
        session = sqlalchemy.orm.Session(engine)
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def read(system):
        query = sqlalchemy.text("SELECT current_setting('app.tenant', true)")
        found.append(system['request'].dbsession.scalar(query))

    settings = {'cron.requests': requests, 'tm.manager_hook': 'pyramid_tm.explicit_manager'}
    with Configurator(settings=settings) as config:
        config.include('pyramid_tm')
        config.include('pyramid_cron')
        config.add_request_method(dbsession, reify=True)
        config.add_tween(f'{module}.tenant_tween_factory', under='pyramid_tm.tm_tween_factory')
        for name in ('first', 'second'):
            config.add_cron_task(read, name=name)
    assert str(tick(TestApp(config.make_wsgi_app()), current_minute())) == 'ok'
    engine.dispose()
    assert [value or '' for value in found] == seen
