import argparse
import itertools
import json
import logging
import signal
import sys
from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import clock
from pyramid_cron.scripts.pcron import PCronCommand, main
from pyramid_cron.scripts.worker import until_signalled, work

UTC = timezone.utc
#: 00:07:30 in Berlin
NOW = datetime(2026, 12, 23, 23, 7, 30, tzinfo=UTC)

APP = '''
import functools
import signal

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

def closed(handler, registry):
    return lambda request: Response(status=503)

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
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

numbers = itertools.count()


class FixedCommand(PCronCommand):
    now = staticmethod(lambda: NOW)


@pytest.fixture
def module(tmp_path, monkeypatch):
    name = f'pcron_app_{next(numbers)}'
    (tmp_path / f'{name}.py').write_text(APP)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


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


def test_a_terminal_that_is_wide_enough_gets_a_table(pcron, ini):
    status, out, err = pcron('list', ini(PURGE, REPORT), columns=120)
    assert (status, err) == (0, '')
    assert out == (
        'NAME    SCHEDULE        TIME ZONE         IDLE  NEXT RUN                             DESCRIPTION\n'
        '----    --------        ---------         ----  --------                             -----------\n'
        'purge   0 2 * * *       Europe/Berlin           Thu 2026-12-24 02:00, in 1 h 53 min  Delete what is old.\n'
        'report  */30 7 * * mon  America/New_York  idle  Mon 2026-12-28 07:00, in 4 d 12 h    Write the report.\n'
    )


def test_another_one_gets_a_paragraph_for_each_task(pcron, ini):
    _, out, _ = pcron('list', ini(PURGE, REPORT), columns=80)
    assert out == (
        'purge\n'
        '            Delete what is old.\n'
        '  schedule  0 2 * * * (Europe/Berlin)\n'
        '  next run  Thu 2026-12-24 02:00, in 1 h 53 min\n'
        '\n'
        'report\n'
        '            Write the report.\n'
        '  schedule  */30 7 * * mon (America/New_York, idle)\n'
        '  next run  Mon 2026-12-28 07:00, in 4 d 12 h\n'
    )


def test_nothing_long_is_cut_off(pcron, ini):
    name = '.'.join(['a_long_name'] * 10)
    minutes = '1,2,4,8,16,32,3,5,9,17,33,7,15,31,6,14,30,10,20,40,11,21,41,12,22,42,13,23,43'
    _, out, _ = pcron('list', ini(f"purge, cron='{minutes} 10 1-15 jan,feb,mar,apr mon,tue,wed', name='{name}'"))
    assert {name, minutes} <= set(out.split())
    assert ' '.join(out.split()).count('10 1-15 jan,feb,mar,apr mon,tue,wed (Europe/Berlin)') == 1
    # one word is longer than the line
    assert [line for line in out.splitlines() if len(line) > 80] == [name, f'  schedule  {minutes}']


def test_next_shows_that_many_runs(pcron, ini):
    _, out, _ = pcron('list', ini("plain, min=8, name='plain'"), '--next', '3', columns=200)
    assert out == (
        'plain\n'
        '  schedule  8 * * * * (Europe/Berlin)\n'
        '  next run  Thu 2026-12-24 00:08, in 1 min\n'
        '            Thu 2026-12-24 01:08, in 1 h 1 min\n'
        '            Thu 2026-12-24 02:08, in 2 h 1 min\n'
    )


def test_the_time_until_a_run_is_not_that_of_the_wall_clock(pcron, ini):
    _, out, _ = pcron('list', ini("plain, min=0, name='plain'"), '--at', '2026-10-25 01:30', '--next', '3')
    assert '02:00, in 30 min\n' in out
    assert '02:00, in 1 h 30 min\n' in out
    assert '03:00, in 2 h 30 min\n' in out


def test_a_task_that_has_no_next_run_says_so(pcron, ini):
    _, out, _ = pcron('list', ini("plain, min=0, hour=0, name='plain'"), '--at', '9998-12-31 23:59')
    assert '  next run  never\n' in out


def test_an_application_without_tasks_says_so(pcron, ini):
    path = ini()
    assert pcron('list', path) == (0, 'The application has no cron tasks.\n', '')
    assert json.loads(pcron('list', path, '--json')[1])['tasks'] == []
    status, out, _ = pcron('tick', path)
    assert (status, out[:34]) == (0, '2026-12-24 00:07+01:00: no tasks i')


def test_json_has_all_of_it(pcron, ini):
    status, out, _ = pcron('list', ini(PURGE, REPORT), '--json', '--next', '2')
    assert status == 0
    assert json.loads(out) == {
        'at': '2026-12-24T00:07:00+01:00',
        'tasks': [
            {
                'name': 'purge',
                'schedule': '0 2 * * *',
                'timezone': 'Europe/Berlin',
                'idle': False,
                'description': 'Delete what is old.',
                'next': ['2026-12-24T02:00:00+01:00', '2026-12-25T02:00:00+01:00'],
            },
            {
                'name': 'report',
                'schedule': '*/30 7 * * mon',
                'timezone': 'America/New_York',
                'idle': True,
                'description': 'Write the report.',
                'next': ['2026-12-28T07:00:00-05:00', '2026-12-28T07:30:00-05:00'],
            },
        ],
    }


def test_the_docstring_of_a_partial_object_is_that_of_its_function(listed):
    assert listed("functools.partial(purge), min='*'")['description'] == 'Delete what is old.'
    assert listed("functools.partial(plain), min='*'")['description'] == ''


def test_the_time_zone_may_be_the_machines(pcron, ini, local_time):
    local_time('Asia/Tokyo')
    path = ini("plain, min=8, name='plain'", settings='')
    _, out, _ = pcron('list', path)
    assert '  local time  ' in out
    assert '2026-12-24 08:08' in out
    _, out, _ = pcron('list', path, '--json', '--at', '2026-12-24 08:08')
    shown = json.loads(out)
    assert shown['at'] == '2026-12-24T08:08:00+09:00'
    assert (shown['tasks'][0]['timezone'], shown['tasks'][0]['due']) == (None, True)


# list --at


def test_at_tells_what_would_be_due(pcron, ini):
    status, out, _ = pcron('list', ini(PURGE, "plain, min='*', name='plain'"), '--at', '2026-12-24 00:00', columns=200)
    assert status == 0
    assert out == (
        'At 2026-12-24 00:00+01:00 1 of 2 tasks are due.\n'
        '\n'
        'purge\n'
        '            Delete what is old.\n'
        '  schedule  0 2 * * * (Europe/Berlin)\n'
        '  not due   hour is 0, not 2\n'
        '  next run  Thu 2026-12-24 02:00, in 2 h\n'
        '\n'
        'plain\n'
        '  schedule  * * * * * (Europe/Berlin)\n'
        '  due       all fields match\n'
        '  next run  Thu 2026-12-24 00:01, in 1 min\n'
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
        ('tomorrow', "--at 'tomorrow' is not a time such as '2026-12-24 00:00'"),
        ('2026-02-30 00:00', "--at '2026-02-30 00:00' is not a time such as '2026-12-24 00:00'"),
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
    status, out, _ = pcron('list', path, '--at', '2026-12-24 00:00', 'zone=Asia/Tokyo', '--next', '2')
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


def test_a_word_that_is_no_variable_is_refused(pcron, ini):
    status, out, err = pcron('list', ini(PURGE), 'word')
    assert (status, out) == (2, '')
    assert "'word'" in err


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
    assert all(f'\n    {command} ' in text for command in ('list', 'tick', 'run', 'work'))


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

    def pass_by(self, seconds):
        self.instant += timedelta(seconds=seconds)

    def tick(self, minute):
        self.ticks.append((minute, self.instant))


def test_it_ticks_at_the_beginning_of_each_minute_from_the_next_one_on(caplog):
    clock = Clock(noon(seconds=17.25), 3)
    work(clock.tick, now=clock.now, wait=clock.wait)
    assert clock.ticks == [(noon(1), noon(1)), (noon(2), noon(2)), (noon(3), noon(3))]
    assert clock.waited == [42.75, 60, 60]
    assert caplog.messages == []


def test_the_time_that_ticks_take_does_not_add_up():
    clock = Clock(noon(seconds=30), 3)

    def tick(minute):
        clock.tick(minute)
        clock.pass_by(20.5)

    work(tick, now=clock.now, wait=clock.wait)
    assert clock.ticks == [(noon(1), noon(1)), (noon(2), noon(2)), (noon(3), noon(3))]
    assert clock.waited == [30, 39.5, 39.5]


def test_waking_early_ticks_nothing_twice():
    # 0.2 seconds too early each time
    clock = Clock(noon(), 4, {0: -0.2, 2: -0.2})
    work(clock.tick, now=clock.now, wait=clock.wait)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(2)]
    assert clock.waited == pytest.approx([60, 0.2, 60, 0.2])


def test_a_tick_that_takes_too_long_skips_minutes_and_says_so(caplog):
    clock = Clock(noon(), 3)

    def tick(minute):
        clock.tick(minute)
        if minute == noon(1):
            clock.pass_by(150)

    work(tick, now=clock.now, wait=clock.wait)
    # the minute that has begun meanwhile is not lost
    assert clock.ticks == [(noon(1), noon(1)), (noon(3), noon(3, 30)), (noon(4), noon(4))]
    assert clock.waited == [60, 0, 30]
    (message,) = caplog.messages
    assert message.startswith('skipped 1 min from 2026-12-24 12:02:00+00:00 on: ')


def test_a_machine_that_slept_skips_minutes_and_says_so(caplog):
    clock = Clock(noon(), 3, {1: 3600})
    work(clock.tick, now=clock.now, wait=clock.wait)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(62), noon(63)]
    (message,) = caplog.messages
    assert message.startswith('skipped 60 min from 2026-12-24 12:02:00+00:00 on: ')


def test_a_clock_that_is_set_back_ticks_no_minute_twice_and_says_so_once(caplog):
    clock = Clock(noon(), 9, {2: -300})
    work(clock.tick, now=clock.now, wait=clock.wait)
    minutes = [minute for minute, _ in clock.ticks]
    assert minutes == [noon(1), noon(2), noon(3), noon(4)]
    # it looks at the clock again and again, in case somebody sets it right
    assert max(clock.waited) == 60
    (message,) = caplog.messages
    assert 'was set back to 2026-12-24 11:58:00+00:00: nothing runs until 2026-12-24 12:03:00+00:00' in message


def test_a_clock_that_is_set_back_twice_is_reported_twice(caplog):
    clock = Clock(noon(), 9, {1: -180, 6: -180})
    work(clock.tick, now=clock.now, wait=clock.wait)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(2), noon(3)]
    assert [message[:22] for message in caplog.messages] == ['the clock was set back'] * 2


def test_a_tick_that_raises_is_logged_and_the_loop_goes_on(caplog):
    clock = Clock(noon(), 2)

    def tick(minute):
        clock.tick(minute)
        raise RuntimeError('a detail')

    work(tick, now=clock.now, wait=clock.wait)
    assert len(clock.ticks) == 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert 'a detail' in caplog.text


def test_a_tick_that_exits_ends_the_loop():
    clock = Clock(noon(), 2)

    def tick(minute):
        raise SystemExit(3)

    with pytest.raises(SystemExit, match='3'):
        work(tick, now=clock.now, wait=clock.wait)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_waiting_and_nothing_else(number):
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with until_signalled() as wait:
        assert wait(0) is False
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert wait(600) is True
    assert {number: signal.getsignal(number) for number in before} == before


class WorkingCommand(PCronCommand):
    """Starts a moment before noon."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # by the time it waits it is noon, so that the wait is over at once
        self.now = iter([noon(seconds=-1), NOON, NOON, noon(seconds=59)]).__next__


def test_work_ends_after_the_run_in_which_the_signal_comes(pcron, ini):
    path = ini("ends, min='*', name='ends'", "plain, min='*', name='plain'", settings='cron.timezone = UTC')
    status, out, _ = pcron('work', path, command=WorkingCommand)
    assert status == 0
    first, ends, plain = out.splitlines()
    assert first.startswith('2026-12-24 12:00+00:00: 2 tasks in 0.')
    assert ends.startswith('ok       ends, ')
    assert plain.startswith('ok       plain, ')


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


def test_work_prints_nothing_for_a_minute_in_which_nothing_is_due(pcron, ini):
    assert pcron('work', ini(PURGE), command=EndingCommand) == (0, '', '')


@pytest.mark.parametrize('command', [('tick',), ('run', 'plain')], ids=str)
def test_an_application_that_answers_before_its_tasks_can_run_is_one_line_and_status_1(pcron, ini, command):
    name, *tasks = command
    uri = ini("plain, name='plain'", settings='closed = yes')
    line = 'pcron: the application answered 503 Service Unavailable before its tasks could run\n'
    assert pcron(name, uri, *tasks) == (1, '', line)
