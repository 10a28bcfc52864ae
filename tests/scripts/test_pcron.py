import argparse
import contextlib
import itertools
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.schedules import clock
from pyramid_cron.scripts.pcron import PCronCommand, main
from pyramid_cron.scripts.work_loop import Ending, work

UTC = timezone.utc
#: 00:07:30 in Berlin
NOW = datetime(2026, 12, 23, 23, 7, 30, tzinfo=UTC)

APP = '''
import functools
import signal
import sys

from pyramid.config import Configurator
from pyramid.response import Response

def purge(system):
    """
    Delete what is old.

    More about it.
    """

def plain(system):
    pass

class Report:
    """Write the report."""

    def __call__(self, system):
        pass

def fails(system):
    raise RuntimeError('a detail')

def ends(system):
    signal.raise_signal(signal.SIGTERM)

def interrupted(system):
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)

def interrupts(system):
    raise KeyboardInterrupt

def exits(system):
    sys.exit(0)

def method(system):
    print(system['request'].method, system['request'].url)

def closed(handler, registry):
    return lambda request: Response(status=503)

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        if 'prefix' in settings:
            config.include('pyramid_cron', route_prefix=settings['prefix'])
        if 'closed' in settings:
            config.add_tween(__name__ + '.closed')
        for line in filter(None, settings['tasks'].split(';')):
            eval(f'config.add_cron_task({line})')
        return config.make_wsgi_app()
'''

INI = """
[app:main]
use = call:{module}:main
pyramid.includes = {include}
tasks = {tasks}
{settings}
"""


class FixedCommand(PCronCommand):
    now = staticmethod(lambda: NOW)


@pytest.fixture(autouse=True)
def quiet_log():
    """Take back what ``pcron work`` does to the log of an application that does not configure it."""
    logger = logging.getLogger('pyramid_cron')
    yield
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def module(write_module):
    return write_module(APP)


@pytest.fixture
def ini(module, tmp_path):
    """Write the ini file of an application with these tasks, each the arguments of ``add_cron_task``."""

    def write(*tasks, settings='cron.timezone = Europe/Berlin', include='pyramid_cron'):
        path = tmp_path / 'app.ini'
        path.write_text(INI.format(module=module, settings=settings, include=include, tasks=';'.join(tasks)))
        return str(path)

    return write


@pytest.fixture
def pcron(capsys, monkeypatch):
    """Run the command at ``NOW``, and return its exit status and what it printed."""

    def run(*argv, columns=80, command=FixedCommand):
        monkeypatch.setenv('COLUMNS', str(columns))
        status = command(['pcron', *argv]).run()
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def listed(pcron, ini):
    """Return what ``pcron list --json`` knows of a single task."""

    def run(task, *options):
        status, out, err = pcron('list', ini(task), '--json', *options)
        assert (status, err) == (0, '')
        (shown,) = json.loads(out)['tasks']
        return shown

    return run


# list

PURGE = "purge, min=0, hour='2', name='purge'"
REPORT = "Report(), cron='*/30 7 * * mon', name='report', idle=True, timezone='America/New_York'"


END = '\n\nTimes are in Europe/Berlin. Trigger: /cron\n'


def test_the_list_is_a_line_for_each_task_and_what_runs_next_comes_first(pcron, ini):
    status, out, err = pcron('list', ini(REPORT, PURGE))
    assert (status, err) == (0, '')
    assert out == (
        'NEXT RUN                  TASK    SCHEDULE\n'
        '02:00      in 1 h 53 min  purge   0 2 * * *\n'
        'Mon 13:00  in 4 d 12 h    report  */30 7 * * mon America/New_York\n' + END[1:]
    )


MANY = [
    f"plain, min={number}, hour=9, name='shop.maintenance.of_something.task_number_{number}'" for number in range(30)
]


@pytest.mark.parametrize('columns', [40, 80, 120])
def test_thirty_tasks_are_about_thirty_lines_that_fit(pcron, ini, columns):
    _, out, _ = pcron('list', ini(*MANY), columns=columns)
    lines = out.splitlines()
    assert len(lines) in (33, 34)
    assert max(map(len, lines)) <= columns
    assert [line[:5] for line in lines[1:31]] == [f'09:{number:02}' for number in range(30)]
    assert all(line.rstrip().endswith(f'_{number}') for number, line in enumerate(lines[1:31])) is (columns == 40)


def test_what_is_long_is_shortened_in_its_middle(pcron, ini):
    name = '.'.join(['a_long_name'] * 10)
    minutes = '1,2,4,8,16,32,3,5,9,17,33,7,15,31,6,14,30,10,20,40,11,21,41,12,22,42,13,23,43'
    task = f"purge, cron='{minutes} 10 1-15 jan,feb,mar,apr mon,tue,wed', name='{name}'"
    assert pcron('list', ini(task))[1].splitlines()[1] == (
        '2027-01-01 10:01  in 8 d 9 h  a_long_name....e.a_long_name  1,2,4,8,...n,tue,wed'
    )
    [line] = pcron('list', ini(task), columns=40)[1].splitlines()[1:2]
    assert line == '2027-01-01  a_long_name....e.a_long_name'
    # no line can be as short as that
    [line] = pcron('list', ini(task), columns=10)[1].splitlines()[1:2]
    assert line == '2027-01-01  a_...ame'


def test_the_docstring_is_shown_if_it_is_asked_for(pcron, ini):
    path = ini(PURGE, "plain, min=3, name='plain'")
    assert 'Delete' not in pcron('list', path)[1]
    assert pcron('list', path, '-v')[1] == (
        'NEXT RUN                 TASK   SCHEDULE\n'
        '01:03     in 56 min      plain  3 * * * *\n'
        '02:00     in 1 h 53 min  purge  0 2 * * *\n'
        '    Delete what is old.\n' + END[1:]
    )


def test_some_tasks_are_listed_by_their_names(pcron, ini):
    path = ini(PURGE, REPORT, "plain, min=3, name='plain'")
    _, out, _ = pcron('list', path, 'report', 'purge', 'http_port=8080')
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ['02:00', 'Mon']
    assert [task['name'] for task in json.loads(pcron('list', path, 'plain', '--json')[1])['tasks']] == ['plain']
    status, out, err = pcron('list', path, 'plane')
    assert (status, out, err) == (2, '', "pcron: no cron task is named 'plane'; is plain meant?\n")


def test_next_shows_that_many_runs_of_whichever_tasks(pcron, ini):
    path = ini("plain, min=8, name='plain'", "purge, min='20', hour=1, name='a.rather.long.name.of.a.task'")
    assert pcron('list', path, '--next', '4')[1] == (
        'Thu 2026-12-24 00:08 +01:00  in 1 min       plain\n'
        'Thu 2026-12-24 01:08 +01:00  in 1 h 1 min   plain\n'
        'Thu 2026-12-24 01:20 +01:00  in 1 h 13 min  a.rather.long.name.of.a.task\n'
        'Thu 2026-12-24 02:08 +01:00  in 2 h 1 min   plain\n' + END[1:]
    )
    assert (
        pcron('list', path, '--next', '3', columns=40)[1].splitlines()[2] == 'Thu 2026-12-24 01:20 +01:00  a.ra...task'
    )
    assert len(pcron('list', path, '--next', '40')[1].splitlines()) == 42


def test_the_time_until_a_run_is_not_that_of_the_wall_clock(pcron, ini):
    _, out, _ = pcron('list', ini("plain, min=0, name='plain'"), '--at', '2026-10-25 01:30', '--next', '3')
    assert [line[15:] for line in out.splitlines()[:3]] == [
        '02:00 +02:00  in 30 min      plain',
        '02:00 +01:00  in 1 h 30 min  plain',
        '03:00 +01:00  in 2 h 30 min  plain',
    ]


def test_a_task_that_has_no_next_run_says_so_and_comes_last(pcron, ini):
    class Late(PCronCommand):
        now = staticmethod(lambda: datetime(9998, 12, 30, 12, 0, tzinfo=UTC))

    path = ini("plain, cron='0 0 1 1 *', name='never'", "plain, cron='0 0 31 12 *', name='last'")
    _, out, _ = pcron('list', path, command=Late)
    assert [line.split() for line in out.splitlines()[1:3]] == [
        ['Thu', '00:00', 'in', '11', 'h', 'last', '0', '0', '31', '12', '*'],
        ['never', 'never', '0', '0', '1', '1', '*'],
    ]
    assert pcron('list', path, 'never', '--next', '2', command=Late)[1] == END[1:]


def test_an_application_without_tasks_says_so(pcron, ini):
    path = ini()
    for options in [], ['--due'], ['--next', '3'], ['-v']:
        assert pcron('list', path, *options) == (0, f'The application has no cron tasks.{END}', '')
    assert json.loads(pcron('list', path, '--json')[1])['tasks'] == []
    status, out, _ = pcron('tick', path)
    assert (status, out[:34]) == (0, '2026-12-24 00:07+01:00: no tasks i')


def test_json_has_all_of_it(pcron, ini):
    status, out, _ = pcron('list', ini(PURGE, REPORT), '--json', '--next', '2')
    assert status == 0
    assert json.loads(out) == {
        'at': '2026-12-24T00:07:00+01:00',
        'at_utc': '2026-12-23T23:07:00+00:00',
        'path': '/cron',
        'tasks': [
            {
                'name': 'purge',
                'schedule': '0 2 * * *',
                'timezone': 'Europe/Berlin',
                'idle': False,
                'description': 'Delete what is old.',
                'next': ['2026-12-24T02:00:00+01:00', '2026-12-25T02:00:00+01:00'],
                'next_utc': ['2026-12-24T01:00:00+00:00', '2026-12-25T01:00:00+00:00'],
                'last': None,
                'last_utc': None,
                'paused': None,
            },
            {
                'name': 'report',
                'schedule': '*/30 7 * * mon',
                'timezone': 'America/New_York',
                'idle': True,
                'description': 'Write the report.',
                'next': ['2026-12-28T07:00:00-05:00', '2026-12-28T07:30:00-05:00'],
                'next_utc': ['2026-12-28T12:00:00+00:00', '2026-12-28T12:30:00+00:00'],
                'last': None,
                'last_utc': None,
                'paused': None,
            },
        ],
    }


@pytest.mark.parametrize(
    ('settings', 'path'),
    [
        ('cron.path = /tick', '/tick'),
        ('cron.path = tick', '/tick'),
        ('prefix = api/v1', '/api/v1/cron'),
        ('prefix = häuser', '/h%C3%A4user/cron'),
    ],
)
def test_the_path_of_the_trigger_is_told_with_its_prefix(pcron, ini, settings, path):
    app = ini(PURGE, settings=settings, include='' if 'prefix' in settings else 'pyramid_cron')
    assert pcron('list', app)[1].splitlines()[-1] == f'Times are in local time. Trigger: {path}'
    assert json.loads(pcron('list', app, '--json')[1])['path'] == path


def test_the_docstring_of_a_partial_object_is_that_of_its_function(listed):
    assert listed("functools.partial(purge), min='*'")['description'] == 'Delete what is old.'
    assert listed("functools.partial(plain), min='*'")['description'] == ''


def test_the_time_zone_may_be_the_machines(pcron, ini, local_time):
    local_time('Asia/Tokyo')
    path = ini("plain, min=8, name='plain'", settings='')
    _, out, _ = pcron('list', path)
    assert out.splitlines()[1:] == [
        '08:08     in 1 min  plain  8 * * * *',
        '',
        'Times are in local time. Trigger: /cron',
    ]
    _, out, _ = pcron('list', path, '--json', '--at', '2026-12-24 08:08')
    shown = json.loads(out)
    assert shown['at'] == '2026-12-24T08:08:00+09:00'
    assert (shown['tasks'][0]['timezone'], shown['tasks'][0]['due']) == (None, True)


# list --at


def test_at_tells_what_would_be_due(pcron, ini):
    path = ini(PURGE, "plain, min='*', name='plain'")
    status, out, _ = pcron('list', path, '--at', '2026-12-24 00:00')
    assert status == 0
    assert out == (
        'At 2026-12-24 00:00+01:00 1 of 2 tasks are due.\n'
        'not due  purge  hour is 0, not 2\n'
        'due      plain  all fields match\n' + END[1:]
    )
    # a time without a date is one of today
    assert pcron('list', path, '--at', '2:00', '--due')[1].splitlines()[:3] == [
        'At 2026-12-24 02:00+01:00 2 of 2 tasks are due.',
        'due  purge  all fields match',
        'due  plain  all fields match',
    ]


def test_due_leaves_out_what_is_not_due_now(pcron, ini):
    path = ini(PURGE, "plain, min='*', name='plain'")
    assert pcron('list', path, '--due')[1] == (
        'At 2026-12-24 00:07+01:00 1 of 2 tasks are due.\ndue  plain  all fields match\n' + END[1:]
    )
    [task] = json.loads(pcron('list', path, '--due', '--json')[1])['tasks']
    assert (task['name'], task['due'], task['why']) == ('plain', True, 'all fields match')
    assert pcron('list', path, 'purge', '--due')[1] == 'At 2026-12-24 00:07+01:00 0 of 1 tasks are due.\n' + END[1:]


def test_a_reason_is_cut_where_there_is_no_room_for_all_of_it(pcron, ini):
    path = ini(
        "plain, cron='1,3,5,7,9,11,13,15,17 1,3,5,7,9 1,3,5,7,9 1,3,5 *', name='a.name.that.is.rather.long.indeed'"
    )
    lines = pcron('list', path, '--due', '--at', '2026-12-24 00:01')[1].splitlines()
    assert lines[0] == 'At 2026-12-24 00:01+01:00 0 of 1 tasks are due.'
    assert pcron('list', path, '--at', '00:00')[1].splitlines()[1] == (
        'not due  a.name.tha...long.indeed  min is 0, not 1-17/2; hour is 0, not 1-9/2...'
    )
    assert (
        pcron('list', path, '--at', '00:00', columns=40)[1].splitlines()[1]
        == 'not due  a.name.that.is...er.long.indeed'
    )


@pytest.mark.parametrize(
    ('arguments', 'at', 'due', 'why'),
    [
        ("cron='0 2 * * *'", '2026-12-24 02:00', True, 'all fields match'),
        ("cron='0 2 * * *'", '2026-12-24 02:01', False, 'min is 1, not 0'),
        (
            "cron='0,30 2-4 * jan,dec *'",
            '2026-11-24 01:01',
            False,
            'min is 1, not 0,30; hour is 1, not 2-4; month is 11, not 1,12',
        ),
        ('min=0, hour=0, day=1, dow=0', '2026-12-01 00:00', False, 'dow is tue, not mon'),
        ("cron='0 0 1 * mon'", '2026-12-01 00:00', True, 'one of the two days suffices: dow is tue, not mon'),
        ("cron='0 0 1 * mon'", '2026-12-07 00:00', True, 'one of the two days suffices: day is 7, not 1'),
        ("cron='0 0 1 * mon'", '2026-06-01 00:00', True, 'both of the two days match'),
        ("cron='0 0 1 * mon'", '2026-12-02 00:00', False, 'day is 2, not 1; dow is wed, not mon'),
        ("cron='0 0 1 * mon'", '2026-12-07 01:00', False, 'hour is 1, not 0'),
        (
            "cron='15,45 2 * * *'",
            '2026-03-29 03:00',
            True,
            'the clocks have just skipped 02:15, 02:45, which is caught up now',
        ),
        ("cron='*/15 2 * * *'", '2026-03-29 03:00', False, 'hour is 3, not 2'),
        ("cron='30 2 * * *'", '2026-10-25 02:30', True, 'all fields match'),
        ("cron='30 2 * * *'", '2026-10-25T02:30+02:00', True, 'all fields match'),
        (
            "cron='30 2 * * *'",
            '2026-10-25T02:30+01:00',
            False,
            'the clocks went back, and it is due in the first pass of this hour only',
        ),
        ("cron='30 * * * *'", '2026-10-25T02:30+01:00', True, 'all fields match'),
        ("cron='30 2 * * *'", '2026-10-25 01:30:59.999999Z', False, 'the clocks went back, and it is due in the first'),
    ],
)
def test_at_tells_why(listed, arguments, at, due, why):
    shown = listed(f'plain, {arguments}', '--at', at)
    assert shown['due'] is due
    assert shown['why'].startswith(why)


@pytest.mark.parametrize(
    ('at', 'message'),
    [
        ('tomorrow', "--at 'tomorrow' is not a time such as '2026-12-24 00:00' or 02:00"),
        ('2026-02-30 00:00', "--at '2026-02-30 00:00' is not a time such as '2026-12-24 00:00' or 02:00"),
        ('0001-01-01 00:00', "--at '0001-01-01 00:00' is not in the years 1970 to 9998"),
        ('9999-12-31 23:59', "--at '9999-12-31 23:59' is not in the years 1970 to 9998"),
        ('2026-03-29 02:30', "--at '2026-03-29 02:30' is a time that the clocks skip in Europe/Berlin"),
    ],
)
@pytest.mark.parametrize('command', ['list', 'tick'])
def test_a_bad_time_is_refused(pcron, ini, command, at, message):
    assert pcron(command, ini(PURGE), '--at', at) == (2, '', f'pcron: {message}\n')


# tick and run


def test_a_tick_runs_what_is_due_and_prints_the_report(pcron, ini):
    path = ini("Report(), min='*', idle=True, name='r'", PURGE, "plain, min=7, name='plain'")
    status, out, _ = pcron('tick', path)
    assert status == 0
    first, *rest = out.splitlines()
    assert first.startswith('2026-12-24 00:07+01:00: 2 tasks in 0.')
    assert [line.split(',')[0] for line in rest] == ['ok       plain', 'ok       r']


def test_a_tick_can_be_for_another_minute(pcron, ini):
    status, out, _ = pcron('tick', ini(PURGE, "plain, min=7, name='plain'"), '--at', '2026-12-24 02:00')
    assert status == 0
    first, second = out.splitlines()
    assert first.startswith('2026-12-24 02:00+01:00: 1 task in 0.')
    assert second.startswith('ok       purge, 0.')


def test_a_task_that_fails_makes_the_exit_status_1(pcron, ini):
    status, out, _ = pcron('tick', ini("fails, min='*', name='fails'", "plain, min='*', name='plain'"))
    assert status == 1
    _, fails, plain = out.splitlines()
    assert fails.startswith('failed   fails, 0.')
    assert fails.endswith(' s: RuntimeError')
    assert plain.startswith('ok       plain, 0.')


@pytest.mark.parametrize('command', [('tick',), ('run', 'exits', 'plain')], ids=str)
def test_a_task_that_exits_has_failed_and_the_next_one_runs(pcron, ini, caplog, command):
    name, *tasks = command
    status, out, err = pcron(name, ini("exits, min='*', name='exits'", "plain, min='*', name='plain'"), *tasks)
    assert (status, err) == (1, '')
    assert [re.sub(r'0\.\d+ s', 'N s', line) for line in out.splitlines()[1:]] == [
        'failed   exits, N s: SystemExit',
        'ok       plain, N s',
    ]
    assert 'SystemExit: 0' in caplog.text


def test_a_task_that_is_skipped_says_why(pcron, ini):
    path = ini("plain, min='*', idle=True, name='plain'")
    with open(path, 'a') as file:
        file.write('[app:hurried]\nuse = main\ncron.window = 0.0000001\n')
    status, out, _ = pcron('tick', f'{path}#hurried')
    assert status == 0
    assert out.splitlines()[1] == 'skipped  plain, 0.000 s: no time left'


def test_a_dry_run_runs_nothing(pcron, ini):
    status, out, _ = pcron('tick', ini("Report(), min='*', idle=True, name='r'", "fails, min='*'", PURGE), '--dry-run')
    assert status == 0
    first, second, third = out.splitlines()
    assert first == '2026-12-24 00:07+01:00: 2 tasks would run'
    assert second.endswith('.fails')
    assert third == 'idle     r'


def test_run_runs_the_tasks_that_are_named_due_or_not(pcron, ini):
    status, out, _ = pcron(
        'run', ini(PURGE, "fails, min='*', name='fails'", "plain, min=1, name='p=1'"), 'p=1', 'purge'
    )
    assert status == 0
    assert [line.split(',')[0] for line in out.splitlines()[1:]] == ['ok       p=1', 'ok       purge']
    assert pcron('run', ini(PURGE, "fails, min='*', name='fails'"), 'fails')[0] == 1


def test_variables_may_stand_among_the_arguments(pcron, ini):
    path = ini(PURGE, settings='cron.timezone = %(zone)s')
    status, out, _ = pcron('run', path, 'purge', 'zone=Asia/Tokyo')
    assert (status, out[:22]) == (0, '2026-12-24 08:07+09:00')
    status, out, _ = pcron('list', path, '--at', '2026-12-24 00:00', 'zone=Asia/Tokyo', 'purge', '--due')
    assert (status, out[:25]) == (0, 'At 2026-12-24 00:00+09:00')


@pytest.mark.parametrize(
    ('word', 'hint'),
    [
        ('purg', '; is myapp.tasks.purge meant?'),
        ('myapp.task.purge', '; is myapp.tasks.purge meant?'),
        ('myapp.tasks.plainer', '; is plain meant?'),
        ('myapp.tasks.other', "; 'pcron list' shows their names"),
        ('something', "; 'pcron list' shows their names"),
    ],
)
def test_an_unknown_task_is_refused_and_close_names_are_suggested(pcron, ini, word, hint):
    path = ini("purge, min='*', name='myapp.tasks.purge'", "plain, min='*', name='plain'")
    assert pcron('run', path, 'plain', word) == (2, '', f'pcron: no cron task is named {word!r}{hint}\n')


def test_run_needs_a_name(pcron, ini):
    assert pcron('run', ini(PURGE)) == (2, '', "pcron: name the tasks to run; 'pcron list' shows their names\n")


# what every command has in common


@pytest.mark.parametrize('command', ['list', 'tick', 'run', 'work'])
def test_a_missing_file_is_refused(pcron, command, tmp_path):
    path = tmp_path / 'missing.ini'
    assert pcron(command, str(path)) == (2, '', f'pcron: there is no file {path}\n')


def test_what_is_no_configuration_is_refused(pcron):
    status, out, err = pcron('list', 'nothing')
    assert (status, out) == (2, '')
    assert err.startswith('pcron: ')
    assert '"nothing"' in err


def test_an_application_without_pyramid_cron_is_refused(pcron, ini):
    path = ini(include='')
    message = f"the application of {path} does not include pyramid_cron: add config.include('pyramid_cron')"
    assert pcron('list', path) == (2, '', f'pcron: {message}\n')


@pytest.mark.parametrize('command', ['tick', 'work'])
def test_a_word_that_is_no_variable_is_refused(pcron, ini, command):
    status, out, err = pcron(command, ini(PURGE), 'word')
    assert (status, out) == (2, '')
    assert "'word'" in err


@pytest.mark.parametrize(
    ('settings', 'problem'),
    [
        ('cron.timezone = Europe/Berln', "ConfigurationError: bad setting cron.timezone = 'Europe/Berln'"),
        ('use = call:no_such_module:main', "ModuleNotFoundError: No module named 'no_such_module'"),
        ('use = call:pyramid_cron:no_such_function', "module 'pyramid_cron' has no attribute 'no_such_function'"),
        ('use = egg:no_such_package', 'PackageNotFoundError: '),
        ('use = other', "No section 'other'"),
    ],
)
def test_an_application_that_cannot_be_made_is_one_line_and_status_2(pcron, ini, settings, problem):
    path = ini(PURGE, settings='')
    with open(path, 'a') as file:
        file.write(f'[app:broken]\nuse = main\n{settings}\n'.replace('use = main\nuse', 'use'))
    status, out, err = pcron('list', f'{path}#broken')
    assert (status, out, err.count('\n')) == (2, '', 1)
    assert err.startswith(f'pcron: the application of {path}#broken cannot be made: {problem}')


def test_an_application_that_raises_shows_where(pcron, ini):
    # a mistake in it, and not in how the command is used
    with pytest.raises(KeyError):
        pcron('list', ini('purge, **{}["missing"]'))


@pytest.mark.parametrize(
    'argv', [[], ['list'], ['dance', 'x.ini'], ['list', 'x.ini', '--next', '0'], ['list', 'x.ini', '--next', 'x']]
)
def test_arguments_that_make_no_sense_end_with_2(pcron, argv):
    with pytest.raises(SystemExit, match='2'):
        pcron(*argv)


def test_an_unknown_option_ends_with_2(pcron, capsys):
    with pytest.raises(SystemExit, match='2'):
        pcron('list', 'x.ini', '--colour')
    assert 'unrecognized arguments: --colour' in capsys.readouterr().err


def test_the_help_names_the_commands():
    text = PCronCommand.parser.format_help()
    assert isinstance(PCronCommand.parser, argparse.ArgumentParser)
    commands = ('list', 'show', 'tick', 'run', 'work', 'history', 'pause', 'resume', 'store')
    assert all(f'\n    {command} ' in text for command in commands)


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit, match='0'):
        main(['pcron', '--version'])
    assert capsys.readouterr().out == f'pyramid_cron {version("pyramid_cron")}\n'


def test_a_pipe_that_is_closed_ends_it_quietly(pcron, ini, capsys):
    path = ini(PURGE, "fails, min='*'")
    for command, expected in (('list', 0), ('tick', 1)):
        read, write = os.pipe()
        os.close(read)
        with open(write, 'w') as file, contextlib.redirect_stdout(file):
            # as in | head
            assert FixedCommand(['pcron', command, path]).run() == expected
    assert capsys.readouterr() == ('', '')


def test_without_argcomplete_the_command_is_the_same(ini, capsys, monkeypatch):
    # as if it were not installed
    monkeypatch.setitem(sys.modules, 'argcomplete', None)
    assert main(['pcron', 'list', ini(PURGE)]) == 0
    assert 'purge' in capsys.readouterr().out


def test_a_shell_is_told_what_may_come_next(tmp_path):
    line = 'pcron hi'
    told = tmp_path / 'told'
    shell = {'_ARGCOMPLETE': '1', 'COMP_LINE': line, 'COMP_POINT': str(len(line)), '_ARGCOMPLETE_STDOUT_FILENAME': told}
    command = [sys.executable, '-c', 'from pyramid_cron.scripts.pcron import main; main(["pcron"])']
    subprocess.run(command, env={**os.environ, **shell}, check=True)
    assert told.read_text().strip() == 'history'


def test_main_reads_the_clock_and_can_be_quiet(ini, capsys):
    path = ini("fails, min='*'")
    before = clock.current_minute()
    assert main(['pcron', 'list', path, '--json']) == 0
    shown = datetime.fromisoformat(json.loads(capsys.readouterr().out)['at'])
    assert before <= shown <= clock.current_minute()
    assert main(['pcron', 'tick', path], quiet=True) == 1
    assert capsys.readouterr().out == ''


def test_the_clock_agrees_with_itself():
    first, now, last = clock.current_minute(), clock.now(), clock.current_minute()
    assert now.tzinfo is UTC
    assert first <= now < last + clock.MINUTE
    assert first <= clock.minute_of(now) <= last


# work

NOON = datetime(2026, 12, 24, 12, 0, tzinfo=UTC)


def noon(minutes=0, seconds=0.0):
    return NOON + timedelta(minutes=minutes, seconds=seconds)


class Clock:
    """A clock that moves when somebody waits for it, and jumps at the n-th wait by ``jumps[n]`` seconds as well."""

    def __init__(self, start, waits, jumps=None):
        self.instant = start
        self.left = waits
        self.waited = []
        self.jumps = jumps or {}
        self.ticks = []

    def now(self):
        return self.instant

    def wait(self, seconds):
        if len(self.waited) == self.left:
            return True
        self.pass_by(seconds + self.jumps.get(len(self.waited), 0))
        self.waited.append(seconds)
        return False

    def work(self, tick, zone=UTC):
        work(tick, since=clock.minute_of(self.instant), zone=zone, now=self.now, wait=self.wait)

    def pass_by(self, seconds):
        self.instant += timedelta(seconds=seconds)

    def tick(self, minute):
        self.ticks.append((minute, self.instant))


def test_it_ticks_at_the_beginning_of_each_minute_from_the_next_one_on(caplog):
    clock = Clock(noon(seconds=17.25), 3)
    clock.work(clock.tick)
    assert clock.ticks == [(noon(1), noon(1)), (noon(2), noon(2)), (noon(3), noon(3))]
    assert clock.waited == [42.75, 60, 60]
    assert caplog.messages == []


def test_the_time_that_ticks_take_does_not_add_up():
    clock = Clock(noon(seconds=30), 3)

    def tick(minute):
        clock.tick(minute)
        clock.pass_by(20.5)

    clock.work(tick)
    assert clock.ticks == [(noon(1), noon(1)), (noon(2), noon(2)), (noon(3), noon(3))]
    assert clock.waited == [30, 39.5, 39.5]


def test_waking_early_ticks_nothing_twice():
    # 0.2 seconds too early each time
    clock = Clock(noon(), 4, {0: -0.2, 2: -0.2})
    clock.work(clock.tick)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(2)]
    assert clock.waited == pytest.approx([60, 0.2, 60, 0.2])


def test_a_tick_that_takes_too_long_skips_minutes_and_says_so(caplog):
    clock = Clock(noon(), 3)

    def tick(minute):
        clock.tick(minute)
        if minute == noon(1):
            clock.pass_by(150)

    clock.work(tick)
    # the minute that has begun meanwhile is not lost
    assert clock.ticks == [(noon(1), noon(1)), (noon(3), noon(3, 30)), (noon(4), noon(4))]
    assert clock.waited == [60, 0, 30]
    (message,) = caplog.messages
    assert message.startswith('skipped 1 min from 2026-12-24 12:02:00+00:00 on: ')


def test_a_machine_that_slept_skips_minutes_and_says_so(caplog):
    clock = Clock(noon(), 3, {1: 3600})
    clock.work(clock.tick)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(62), noon(63)]
    (message,) = caplog.messages
    assert message.startswith('skipped 60 min from 2026-12-24 12:02:00+00:00 on: ')


def test_a_clock_that_is_set_back_ticks_no_minute_twice_and_says_so_once(caplog):
    clock = Clock(noon(), 9, {2: -300})
    clock.work(clock.tick)
    minutes = [minute for minute, _ in clock.ticks]
    assert minutes == [noon(1), noon(2), noon(3), noon(4)]
    # it looks at the clock again and again, in case somebody sets it right
    assert max(clock.waited) == 60
    (message,) = caplog.messages
    assert 'was set back to 2026-12-24 11:58:00+00:00: nothing runs until 2026-12-24 12:03:00+00:00' in message


def test_a_clock_that_is_set_back_twice_is_reported_twice(caplog):
    clock = Clock(noon(), 9, {1: -180, 6: -180})
    clock.work(clock.tick)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(2), noon(3)]
    assert [message[:22] for message in caplog.messages] == ['the clock was set back'] * 2


def test_a_tick_that_raises_is_logged_and_the_loop_goes_on(caplog):
    clock = Clock(noon(), 2)

    def tick(minute):
        clock.tick(minute)
        raise RuntimeError('a detail')

    clock.work(tick)
    assert len(clock.ticks) == 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert 'a detail' in caplog.text


def test_a_tick_that_exits_ends_the_loop():
    clock = Clock(noon(), 2)

    def tick(minute):
        raise SystemExit(3)

    with pytest.raises(SystemExit, match='3'):
        clock.work(tick)


def test_what_it_logs_is_in_the_time_zone_of_the_application(caplog):
    clock = Clock(noon(), 4, {1: 3600, 2: -7200})

    def tick(minute):
        raise RuntimeError('a detail')

    clock.work(tick, zone=ZoneInfo('Europe/Berlin'))
    assert [message[:62] for message in caplog.messages] == [
        'the run for 2026-12-24 13:01:00+01:00 failed',
        'skipped 60 min from 2026-12-24 13:02:00+01:00 on: the machine ',
        'the run for 2026-12-24 14:02:00+01:00 failed',
        'the clock was set back to 2026-12-24 12:03:00+01:00: nothing r',
    ]


SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize('number', SIGNALS)
def test_the_first_signal_ends_the_waiting_and_nothing_else(number):
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ending = Ending()
    with ending.by_signals():
        assert ending.wait(0) is False
        assert ending.asked() is False
        signal.raise_signal(number)
        assert ending.asked() is True
        assert ending.wait(600) is True
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize('first', SIGNALS)
@pytest.mark.parametrize('second', SIGNALS)
def test_each_further_signal_interrupts_what_runs(first, second):
    ending = Ending()
    with ending.by_signals():
        signal.raise_signal(first)
        for number in (second, first):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
            assert ending.number == number


def test_a_signal_says_what_it_does_unless_nothing_runs(capfd):
    ending = Ending('ending')
    with ending.by_signals():
        signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr() == ('', 'ending\n')
    ending = Ending('ending')
    with ending.by_signals():

        def interrupt(waiter):
            while not ending.waiting:
                pass
            signal.pthread_kill(waiter, signal.SIGINT)

        thread = threading.Thread(target=interrupt, args=[threading.get_ident()])
        thread.start()
        assert ending.wait(600) is True
        thread.join()
    assert capfd.readouterr() == ('', '')


def test_a_signal_that_does_not_wake_the_main_thread_is_noticed_all_the_same():
    ending = Ending()

    def interrupt():
        while not ending.waiting:
            pass
        # in this thread, so that nothing is interrupted in the main one
        signal.raise_signal(signal.SIGINT)

    with ending.by_signals():
        thread = threading.Thread(target=interrupt)
        thread.start()
        assert ending.wait(20) is True
        thread.join()


def test_a_child_that_a_task_has_forked_is_ended_as_if_there_were_no_pcron():
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        ending = Ending()
        with ending.by_signals():
            # as it is in the child
            ending.pid = os.getppid()
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]
    assert ending.asked() is False


class WorkingCommand(PCronCommand):
    """Starts a moment before noon."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # by the time it waits it is noon, so that the wait is over at once
        self.now = iter([noon(seconds=-1), NOON, NOON, noon(seconds=59)]).__next__


def test_work_ends_after_the_task_in_which_the_signal_comes(pcron, ini, caplog):
    path = ini("ends, min='*', name='ends'", "plain, min='*', name='plain'", settings='cron.timezone = UTC')
    status, out, err = pcron('work', path, command=WorkingCommand)
    assert (status, err) == (0, '')
    assert out == '2 tasks, UTC. Next: 12:00 ends and 1 more. Ctrl-C stops after the running task.\n'
    said = [re.sub(r'0\.\d+ s', 'N s', message) for message in caplog.messages]
    assert said == [
        'run for 2026-12-24 12:00:00+00:00 begins, tasks due: 2',
        'task ends begins',
        'task ends ended in N s',
        'task plain is skipped: stopping',
        'run for 2026-12-24 12:00:00+00:00 ended in N s: 1 ok, 0 failed, 1 skipped',
        'ended by SIGTERM',
    ]


def test_work_goes_on_after_a_task_that_exits(pcron, ini, caplog):
    path = ini("exits, min='*', name='exits'", "plain, min='*', name='plain'", settings='cron.timezone = UTC')
    status, _, err = pcron('work', path, command=TwoMinutesCommand)
    assert (status, err) == (0, '')
    said = [message.partition(' after')[0].partition(' in ')[0] for message in caplog.messages]
    assert [message for message in said if re.search('failed|ended', message)] == [
        'task exits failed',
        'task plain ended',
        'run for 2026-12-24 12:00:00+00:00 ended',
        'task exits failed',
        'task plain ended',
        'run for 2026-12-24 12:01:00+00:00 ended',
        'ended by SIGTERM',
    ]


@pytest.mark.parametrize(
    ('task', 'name', 'status'), [('interrupted', 'SIGINT', 130), ('interrupts', 'SIGINT', 130)], ids=str
)
def test_work_ends_at_once_when_the_task_is_interrupted(pcron, ini, caplog, task, name, status):
    path = ini(f"{task}, min='*', name='{task}'", "plain, min='*', name='plain'", settings='cron.timezone = UTC')
    ended, _, err = pcron('work', path, command=WorkingCommand)
    assert (ended, err) == (status, f'pcron: interrupted by {name}\n')
    assert 'not run: plain' in caplog.text


@pytest.mark.parametrize('command', [('tick',), ('run', 'interrupts')], ids=str)
def test_whatever_is_interrupted_ends_with_130(pcron, ini, command):
    name, *tasks = command
    status, out, err = pcron(name, ini("interrupts, min='*', name='interrupts'"), *tasks)
    assert (status, out, err) == (130, '', 'pcron: interrupted by SIGINT\n')


class TwoMinutesCommand(PCronCommand):
    """Starts a moment before noon, and is asked to end in the third minute."""

    def __init__(self, *arguments):
        super().__init__(*arguments)

        def instants():
            # each wait is over at once, for the clock has got there by then
            yield from (noon(seconds=-1), noon(), noon(), noon(1), noon(1))
            signal.raise_signal(signal.SIGTERM)
            yield noon(1)

        self.now = instants().__next__


class EndingCommand(WorkingCommand):
    """Is asked to end while nothing is due."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        instants = self.now
        calls = itertools.count()

        def now():
            if next(calls) == 3:
                signal.raise_signal(signal.SIGTERM)
            return instants()

        self.now = now


@pytest.mark.parametrize(
    ('tasks', 'line'),
    [
        ((), 'no tasks, Europe/Berlin. Next: never.'),
        (
            ("plain, cron='0 13 * * *', name='a'", "plain, cron='59 12 * * *', name='b'"),
            '2 tasks, Europe/Berlin. Next: 13:00 a.',
        ),
        # each in its own time zone, and told in that of the application
        (
            (
                "plain, cron='30 7 * * *', name='a', timezone='America/New_York'",
                "plain, cron='45 12 * * *', name='b', timezone='UTC'",
            ),
            '2 tasks, Europe/Berlin. Next: 13:30 a.',
        ),
        ((PURGE,), '1 task, Europe/Berlin. Next: 02:00 on Fri 2026-12-25 purge.'),
        (
            ("plain, min=0, name='a'", "plain, min='*/30', name='b'", "plain, min=1, name='c'"),
            '3 tasks, Europe/Berlin. Next: 13:00 a and 1 more.',
        ),
    ],
)
def test_work_says_once_what_it_does(pcron, ini, caplog, tasks, line):
    status, out, err = pcron('work', ini(*tasks), command=EndingCommand, columns=200)
    assert (status, out, err) == (0, f'{line} Ctrl-C stops after the running task.\n', '')
    assert not re.search('Berlin|Next|waiting', caplog.text)


def test_work_says_nothing_of_a_minute_in_which_nothing_is_due(pcron, ini, caplog):
    _, out, _ = pcron('work', ini(PURGE), command=EndingCommand, columns=40)
    assert out == (
        '1 task, Europe/Berlin. Next: 02:00 on\nFri 2026-12-25 purge. Ctrl-C stops after\nthe running task.\n'
    )
    assert caplog.messages == ['ended by SIGTERM']


def test_work_can_be_quiet(ini, capfd):
    path = ini("ends, min='*', name='ends'", settings='cron.timezone = UTC')
    assert WorkingCommand(['pcron', 'work', path], True).run() == 0
    assert capfd.readouterr().out == ''
    assert logging.getLogger('pyramid_cron').level == logging.NOTSET


def test_work_logs_a_line_for_each_minute_in_which_something_else_answers(pcron, ini, caplog):
    status, _, _ = pcron('work', ini(PURGE, settings='closed = yes\ncron.timezone = UTC'), command=EndingCommand)
    assert status == 0
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        'nothing ran for 2026-12-24 12:00+00:00: '
        'the application answered 503 Service Unavailable before its tasks could run'
    ]
    assert 'Traceback' not in caplog.text


LOGGING = """
[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
level = WARNING
handlers =
"""


def test_an_application_that_configures_its_log_has_it_as_it_wants(pcron, ini, caplog):
    path = ini(PURGE)
    with open(path, 'a') as file:
        file.write(LOGGING)
    assert pcron('work', path, command=EndingCommand)[0] == 0
    assert logging.getLogger('pyramid_cron').level == logging.NOTSET
    assert caplog.messages == []


@pytest.mark.parametrize('command', [('tick',), ('run', 'plain')], ids=str)
def test_an_application_that_answers_before_its_tasks_can_run_is_one_line_and_status_1(pcron, ini, command):
    name, *tasks = command
    uri = ini("plain, name='plain'", settings='closed = yes')
    line = 'pcron: the application answered 503 Service Unavailable before its tasks could run\n'
    assert pcron(name, uri, *tasks) == (1, '', line)


# --post


@pytest.mark.parametrize('command', [('tick',), ('run', 'method')], ids=str)
@pytest.mark.parametrize(('options', 'method'), [((), 'GET'), (('--post',), 'POST')], ids=str)
def test_a_run_is_requested_by_the_method_that_is_asked_for(pcron, ini, command, options, method):
    name, *tasks = command
    path = ini("method, min='*', name='method'", settings='cron.url = https://shop.example.com/shop')
    status, out, _ = pcron(name, path, *tasks, *options)
    assert (status, out.splitlines()[0]) == (0, f'{method} https://shop.example.com/shop/cron')


def test_work_can_request_runs_by_post(pcron, ini):
    path = ini("method, min='*', name='method'", "ends, min='*', name='ends'", settings='cron.timezone = UTC')
    status, out, _ = pcron('work', path, '--post', command=WorkingCommand)
    assert (status, out.splitlines()[-1]) == (0, 'POST http://localhost/cron')


# files that make one application of several

PARTS = """
import functools

from pyramid.config import Configurator


def urlmap(loader, global_conf, **mounts):
    apps = {path: loader.get_app(name, global_conf=global_conf) for path, name in mounts.items()}

    def app(environ, start_response):
        path = environ['PATH_INFO']
        prefix = max((prefix for prefix in apps if path.startswith(prefix)), key=len)
        if prefix != '/':
            environ.update(SCRIPT_NAME=prefix, PATH_INFO=path[len(prefix):])
        return apps[prefix](environ, start_response)

    return app


def filter(global_conf):
    def around(app):
        def filtered(environ, start_response):
            print('filtered')
            return app(environ, start_response)
        return filtered
    return around


def make(name, cron, global_conf, **settings):
    with Configurator(settings=settings) as config:
        if cron:
            config.include('pyramid_cron')
            config.add_cron_task(lambda system: print(name, 'ran'), min='*', name=name)
        return config.make_wsgi_app()


shop = functools.partial(make, 'shop', True)
site = functools.partial(make, 'site', True)
plain = functools.partial(make, 'plain', False)
"""

MAP = """
[composite:main]
use = call:{module}:urlmap
/ = site
/shop = shop

[composite:mounted]
use = call:{module}:urlmap
/ = plain
/shop = shop

[composite:nothing]
use = call:{module}:urlmap
/ = plain

[pipeline:piped]
pipeline = filter shop

[filter-app:filtered]
paste.filter_factory = {module}:filter
next = shop

[application:shop]
use = call:{module}:shop

[app:site]
use = call:{module}:site
filter-with = filter

[app:plain]
use = call:{module}:plain

[filter:filter]
use = call:{module}:filter
"""


@pytest.fixture
def composite(module, tmp_path):
    """Write an ini file that makes one application of several, and return its path."""
    (tmp_path / f'{module}.py').write_text(PARTS)
    path = tmp_path / 'parts.ini'
    path.write_text(MAP.format(module=module))
    return str(path)


def known(path, *names):
    return f'as in {path}#{names[0]}; {path} has {", ".join(names)}\n'


@pytest.mark.parametrize('command', ['list', 'tick', 'work', 'run'])
def test_of_several_applications_with_tasks_one_has_to_be_named(pcron, composite, command):
    status, out, err = pcron(command, composite)
    assert (status, out) == (2, '')
    assert err == (
        f'pcron: the application of {composite} is made of 2 that include pyramid_cron: '
        f'name the section of one of them, {known(composite, "piped", "filtered", "shop", "site", "plain")}'
    )


@pytest.mark.parametrize(
    ('section', 'lines'),
    [
        ('shop', ['shop ran']),
        ('piped', ['filtered', 'shop ran']),
        ('filtered', ['filtered', 'shop ran']),
        ('site', ['filtered', 'site ran']),
    ],
)
def test_the_application_that_is_named_is_listed_and_run_with_all_that_is_around_it(pcron, composite, section, lines):
    uri, task = f'{composite}#{section}', lines[-1].split()[0]
    assert [task['name'] for task in json.loads(pcron('list', uri, '--json')[1])['tasks']] == [task]
    status, out, err = pcron('tick', uri)
    *said, _, report = out.splitlines()
    assert (status, said, report.split(',')[0], err) == (0, lines, f'ok       {task}', '')


def test_the_only_one_with_tasks_is_listed_and_where_another_answers_it_has_to_be_named(pcron, composite):
    uri = f'{composite}#mounted'
    assert [task['name'] for task in json.loads(pcron('list', uri, '--json')[1])['tasks']] == ['shop']
    status, out, err = pcron('tick', uri)
    assert (status, out) == (1, '')
    assert err == (
        'pcron: the application answered 404 Not Found before its tasks could run; '
        'if that was another application than the one with the tasks, name its section, '
        + known(composite, 'piped', 'filtered', 'shop', 'site', 'plain')
    )


@pytest.mark.parametrize('section', ['plain', 'nothing'])
def test_none_with_tasks_is_refused(pcron, composite, section):
    uri = f'{composite}#{section}'
    message = f"the application of {uri} does not include pyramid_cron: add config.include('pyramid_cron')"
    assert pcron('list', uri) == (2, '', f'pcron: {message}\n')


def test_a_section_that_is_not_there_is_refused_with_those_that_are(pcron, composite):
    message = (
        f"{composite} has no application 'ship'; it has main, mounted, nothing, piped, filtered, shop, site, plain"
    )
    assert pcron('list', f'{composite}#ship') == (2, '', f'pcron: {message}\n')


def test_a_file_that_has_no_other_section_is_told_to_make_one(pcron, module, tmp_path):
    (tmp_path / f'{module}.py').write_text(
        PARTS
        + """
def both(global_conf):
    apps = [shop(global_conf), site(global_conf)]
    return lambda environ, start_response: apps[0](environ, start_response)
"""
    )
    path = tmp_path / 'both.ini'
    path.write_text(f'[app:main]\nuse = call:{module}:both\n')
    status, _, err = pcron('list', str(path))
    assert (status, err.split(': ')[-1]) == (2, f'name the section of one of them, as in {path}#name\n')


@pytest.mark.parametrize('inner', ['site', 'plain'])
def test_an_application_that_makes_others_for_itself_is_the_one_that_is_meant(pcron, module, tmp_path, inner):
    (tmp_path / f'{module}.py').write_text(
        PARTS
        + f"""
from pyramid.wsgi import wsgiapp2

def outer(global_conf, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.add_cron_task(lambda system: print('outer ran'), min='*', name='outer')
        config.add_route('inner', '/inner/*subpath')
        config.add_view(wsgiapp2({inner}(global_conf)), route_name='inner')
        return config.make_wsgi_app()

def last(global_conf):
    app = outer(global_conf)
    # made later than its own
    app.inner = {inner}(global_conf)
    return app
"""
    )
    path = tmp_path / 'outer.ini'
    path.write_text(f'[app:main]\nuse = call:{module}:last\n')
    status, out, err = pcron('tick', str(path))
    assert (status, out.splitlines()[0], err) == (0, 'outer ran', '')
