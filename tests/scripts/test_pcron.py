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
        'not_registered': [],
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
                'problems': [],
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
    assert pcron('list', app)[1].splitlines()[-1] == f'Times are in local time. Trigger: {path}'
    assert json.loads(pcron('list', app, '--json')[1])['path'] == path


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


def test_at_shows_which_tasks_are_due_then(pcron, ini):
    path = ini(PURGE, "plain, min='*', name='plain'")
    status, out, _ = pcron('list', path, '--at', '2026-12-24 00:00')
    assert status == 0
    assert out == (
        'At 2026-12-24 00:00+01:00 1 of 2 tasks are due.\n'
        'not due  purge  hour is 0, not 2\n'
        'due      plain  all fields match\n' + END[1:]
    )
    # a time without a date is one of today
    assert pcron('list', path, '--at', '2:00')[1].splitlines()[:3] == [
        'At 2026-12-24 02:00+01:00 2 of 2 tasks are due.',
        'due  purge  all fields match',
        'due  plain  all fields match',
    ]
    assert pcron('list', path, '--at', 'now')[1].splitlines()[:3] == [
        'At 2026-12-24 00:07+01:00 1 of 2 tasks are due.',
        'not due  purge  min is 7, not 0; hour is 0, not 2',
        'due      plain  all fields match',
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
