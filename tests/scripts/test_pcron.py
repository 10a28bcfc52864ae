"""The command ``pcron``, and what ``pcron list`` knows of tasks."""

import json
import os
import subprocess
import sys
from datetime import datetime

import pytest

from pyramid_cron.schedules import clock
from pyramid_cron.scripts.pcron import main
from tests.support.pcron import END, PURGE, REPORT


def test_some_tasks_are_listed_by_their_names(pcron, ini):
    path = ini(PURGE, REPORT, "plain, min=3, name='plain'")
    _, out, _ = pcron('list', path, 'report', 'purge', 'http_port=8080')
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ['02:00', 'Mon']
    assert [task['name'] for task in json.loads(pcron('list', path, 'plain', '--json')[1])['tasks']] == ['plain']
    status, out, err = pcron('list', path, 'plane')
    assert (status, out, err) == (2, '', "pcron: no cron task is named 'plane'; is plain meant?\n")


def test_an_application_without_tasks_is_stated(pcron, ini):
    path = ini()
    for options in [], ['--at', 'now'], ['--next', '3'], ['-v']:
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
        'no_tick': False,
        'tick_failed': False,
        'problem': None,
        'all_paused': None,
        'not_registered': [],
        'tasks': [
            {
                'name': 'purge',
                'schedule': '0 2 * * *',
                'schedule_by': None,
                'schedule_in_code': None,
                'timezone': 'Europe/Berlin',
                'idle': False,
                'description': 'Delete what is old.',
                'next': ['2026-12-24T02:00:00+01:00', '2026-12-25T02:00:00+01:00'],
                'next_utc': ['2026-12-24T01:00:00+00:00', '2026-12-25T01:00:00+00:00'],
                'last': None,
                'last_utc': None,
                'paused': None,
                'stop_requested': None,
                'usual': None,
                'slower_than_usual': False,
                'problems': [],
            },
            {
                'name': 'report',
                'schedule': '*/30 7 * * mon',
                'schedule_by': None,
                'schedule_in_code': None,
                'timezone': 'America/New_York',
                'idle': True,
                'description': 'Write the report.',
                'next': ['2026-12-28T07:00:00-05:00', '2026-12-28T07:30:00-05:00'],
                'next_utc': ['2026-12-28T12:00:00+00:00', '2026-12-28T12:30:00+00:00'],
                'last': None,
                'last_utc': None,
                'paused': None,
                'stop_requested': None,
                'usual': None,
                'slower_than_usual': False,
                'problems': [],
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
def test_the_path_of_the_trigger_is_shown_with_its_prefix(pcron, ini, settings, path):
    app = ini(PURGE, settings=settings, include='' if 'prefix' in settings else 'pyramid_cron')
    assert pcron('list', app)[1].splitlines()[-1] == f'Times are in local time. Path of the tick: {path}'
    assert json.loads(pcron('list', app, '--json')[1])['path'] == path


def test_the_time_zone_may_be_the_machines(pcron, ini, local_time):
    local_time('Asia/Tokyo')
    path = ini("plain, min=8, name='plain'", settings='')
    _, out, _ = pcron('list', path)
    assert out.splitlines()[1:] == [
        '08:08     in 1 min  plain  8 * * * *',
        '',
        'Times are in local time. Path of the tick: /cron',
    ]
    _, out, _ = pcron('list', path, '--json', '--at', '2026-12-24 08:08')
    shown = json.loads(out)
    assert shown['at'] == '2026-12-24T08:08:00+09:00'
    assert (shown['tasks'][0]['timezone'], shown['tasks'][0]['due']) == (None, True)


def test_at_shows_which_tasks_are_due_then(pcron, ini):
    path = ini(PURGE, "plain, min='*', name='plain'")
    status, out, _ = pcron('list', path, '--at', '2026-12-24 00:00')
    assert status == 0
    assert out == (
        'At 2026-12-24 00:00+01:00, 1 of 2 tasks are due.\n'
        'due      plain  all fields match\n'
        'not due  purge  hour is 0, not 2\n' + END[1:]
    )
    # a time without a date is one of today
    assert pcron('list', path, '--at', '2:00')[1].splitlines()[:3] == [
        'At 2026-12-24 02:00+01:00, 2 of 2 tasks are due.',
        'due  purge  all fields match',
        'due  plain  all fields match',
    ]
    assert pcron('list', path, '--at', 'now')[1].splitlines()[:3] == [
        'At 2026-12-24 00:07+01:00, 1 of 2 tasks are due.',
        'due      plain  all fields match',
        'not due  purge  min is 7, not 0; hour is 0, not 2',
    ]


def test_at_now_in_json_explains_each_task(pcron, ini):
    tasks = json.loads(pcron('list', ini(PURGE, "plain, min='*', name='plain'"), '--at', 'now', '--json')[1])['tasks']
    assert [(task['name'], task['due'], task['why']) for task in tasks] == [
        ('purge', False, 'min is 7, not 0; hour is 0, not 2'),
        ('plain', True, 'all fields match'),
    ]


def test_without_argcomplete_the_command_is_the_same(ini, capsys, monkeypatch):
    # as if it were not installed
    monkeypatch.setitem(sys.modules, 'argcomplete', None)
    assert main(['pcron', 'list', ini(PURGE)]) == 0
    assert 'purge' in capsys.readouterr().out


@pytest.mark.slow
def test_a_shell_gets_completions(tmp_path):
    line = 'pcron hi'
    answer = tmp_path / 'answer'
    shell = {
        '_ARGCOMPLETE': '1',
        'COMP_LINE': line,
        'COMP_POINT': str(len(line)),
        '_ARGCOMPLETE_STDOUT_FILENAME': answer,
    }
    command = [sys.executable, '-c', 'from pyramid_cron.scripts.pcron import main; main(["pcron"])']
    subprocess.run(command, env={**os.environ, **shell}, check=True)
    assert answer.read_text().strip() == 'history'


def test_main_reads_the_clock_and_can_be_quiet(ini, capsys):
    path = ini("fails, min='*'")
    before = clock.current_minute()
    assert main(['pcron', 'list', path, '--json']) == 0
    shown = datetime.fromisoformat(json.loads(capsys.readouterr().out)['at'])
    assert before <= shown <= clock.current_minute()
    assert main(['pcron', 'tick', path], quiet=True) == 1
    assert capsys.readouterr().out == ''


@pytest.mark.parametrize('command', [('tick',), ('run', 'interrupts')], ids=str)
def test_an_interrupted_command_ends_with_130(pcron, ini, command):
    name, *tasks = command
    status, out, err = pcron(name, ini("interrupts, min='*', name='interrupts'"), *tasks)
    assert (status, out, err) == (130, '', 'pcron: interrupted by SIGINT\n')


OVERRIDES = """cron.timezone = Europe/Berlin
cron.schedules =
    purge = off
    report = 30 3 * * *
"""
OTHER = "plain, cron='0 1 * * *', name='plain'"


def test_schedules_of_the_setting_are_shown(pcron, ini):
    path = ini(PURGE, REPORT, OTHER, settings=OVERRIDES)
    status, out, _ = pcron('list', path)
    assert (status, out.splitlines()[:4]) == (
        0,
        [
            'NEXT RUN                 TASK    SCHEDULE',
            '01:00     in 53 min      plain   0 1 * * *',
            '09:30     in 9 h 23 min  report  30 3 * * * America/New_York',
            'off                      purge   off',
        ],
    )
    assert 'By cron.schedules: 1 of 3 tasks off; report at 30 3 * * *\n' in out
    # its note is about the tasks that are shown
    assert 'cron.schedules' not in pcron('list', path, 'plain')[1]
    shown = {task['name']: task for task in json.loads(pcron('list', path, '--json')[1])['tasks']}
    assert [
        (
            name,
            shown[name]['schedule'],
            shown[name]['schedule_by'],
            shown[name]['schedule_in_code'],
            shown[name]['next'],
        )
        for name in ('purge', 'report')
    ] == [
        ('purge', 'off', 'cron.schedules', '0 2 * * *', []),
        ('report', '30 3 * * *', 'cron.schedules', '*/30 7 * * mon', ['2026-12-24T03:30:00-05:00']),
    ]


def test_show_has_both_schedules(pcron, ini):
    path = ini(PURGE, REPORT, OTHER, settings=OVERRIDES)
    status, out, _ = pcron('show', path, 'purge')
    assert status == 0
    assert '  schedule   off (Europe/Berlin), by cron.schedules; in the code 0 2 * * *\n' in out
    assert '  not due    at Thu 2026-12-24 00:07: off, by cron.schedules\n' in out
    assert '  next runs  off, by cron.schedules\n' in out
    out = pcron('show', path, 'report')[1]
    assert '  schedule   30 3 * * * (America/New_York), by cron.schedules; in the code */30\n' in out


def test_a_task_that_is_off_can_be_run(pcron, ini):
    status, out, _ = pcron('run', ini(PURGE, settings='cron.schedules = * = off'), 'purge')
    assert (status, out.splitlines()[1].split(',')[0]) == (0, 'ok       purge')


def test_a_line_for_no_task_is_an_error_of_use(pcron, ini):
    status, out, err = pcron('list', ini(PURGE, settings='cron.schedules = prge = off'))
    assert (status, out) == (2, '')
    assert err.endswith("the line 'prge = off' names no cron task; is purge meant?\n")


AWAY = 'cron.store = postgresql+psycopg://nobody:secret@127.0.0.1:1/none'
REFUSED = 'the store is not available: connection failed: '


@pytest.mark.slow
@pytest.mark.parametrize(
    'words',
    [
        ['run', 'purge'],
        # the names in the store cannot be compared
        ['run', 'urge'],
        ['run', 'purge', '--for', 'yesterday 02:00'],
        ['tick'],
        ['history'],
        ['history', 'purge', '--since', 'yesterday'],
        ['running'],
        ['pause', 'purge', '--reason', 'x'],
        ['resume', '--all'],
        ['acknowledge', 'purge', '--reason', 'x'],
        ['stop', 'purge'],
        ['forget', 'gone'],
        ['plan'],
    ],
    ids=' '.join,
)
def test_a_database_that_is_away_is_one_line(pcron, ini, words):
    command, *more = words
    status, out, err = pcron(command, ini(PURGE, settings=AWAY), *more)
    assert (status, out, len(err.splitlines())) == (1, '', 1)
    assert err.startswith('pcron: ')
    assert REFUSED in err
    assert 'secret' not in err
    verbose = pcron(command, ini(PURGE, settings=AWAY), *more, '-v')
    assert verbose[0] == 1
    assert 'Traceback (most recent call last):' in verbose[2]
    assert 'secret' not in verbose[2]


@pytest.mark.parametrize(
    'words', [['list'], ['show', 'purge'], ['list', '--at', 'now'], ['list', 'pur'], ['show', 'pur']]
)
def test_what_is_known_without_the_database_is_shown(pcron, ini, words):
    command, *more = words
    status, out, err = pcron(command, ini(PURGE, settings=AWAY), *more)
    assert status == 0
    assert 'purge' in out
    assert [line for line in err.splitlines() if 'is taken for' not in line] == [
        line for line in err.splitlines() if REFUSED in line
    ]
    assert err.count(REFUSED) == 1


CONNECTS = """
import sqlite3

def main(global_config, **settings):
    sqlite3.connect('/nowhere/x.sqlite')
"""


def test_an_application_that_needs_its_database_to_start_is_one_line(pcron, write_module, tmp_path):
    path = tmp_path / 'app.ini'
    path.write_text(f'[app:main]\nuse = call:{write_module(CONNECTS)}:main\n')
    message = 'pcron: the application cannot be loaded: OperationalError: unable to open database file\n'
    assert pcron('list', str(path)) == (1, '', message)
    err = pcron('list', str(path), '-v')[2]
    assert 'Traceback' in err
    assert err.endswith(message)
