"""``pcron`` as a program, with the demo."""

import contextlib
import fcntl
import itertools
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from datetime import datetime, timedelta

import pytest

MAIL, CACHE = 'pyramid_cron_demo.tasks.send_mail', 'pyramid_cron_demo.tasks.warm_cache'
REPORT = r'\d{4}-\d\d-\d\d \d\d:\d\d\+00:00: '


@pytest.fixture
def pcron(program, tmp_path):
    """Run the command to its end."""

    def run(*arguments, columns=80):
        environ = {**os.environ, 'TZ': 'UTC', 'COLUMNS': str(columns)}
        command = [program('pcron'), *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def journal(tmp_path):
    """Return the lines of the demo's journal."""
    path = tmp_path / 'var' / 'journal.txt'
    return lambda: path.read_text().splitlines() if path.exists() else []


DEMO = [
    'send_mail',
    'purge_sessions',
    'write_report',
    'fetch_prices',
    'import_orders',
    'make_index',
    'back_up',
    'warm_cache',
    'compact_database',
]


@pytest.fixture
def at_terminal(program, tmp_path):
    """Run the command at a terminal of some columns, and return what it prints there."""

    def run(*arguments, columns):
        own, terminal = pty.openpty()
        fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
        environ = {name: value for name, value in os.environ.items() if name != 'COLUMNS'} | {'TZ': 'UTC'}
        command = [program('pcron'), *map(str, arguments)]
        with subprocess.Popen(command, cwd=tmp_path, env=environ, stdin=terminal, stdout=terminal, stderr=terminal):
            os.close(terminal)
            found = b''
            with contextlib.suppress(OSError):
                # Linux raises at the end
                while more := os.read(own, 4096):
                    found += more
        os.close(own)
        return found.decode().replace('\r\n', '\n')

    return run


@pytest.mark.parametrize('columns', [40, 80, 132])
def test_list_is_a_line_for_each_task_that_fits_the_terminal(at_terminal, ini, columns):
    first, *lines = at_terminal('list', ini(), columns=columns).splitlines()
    assert first.startswith('NEXT')
    assert max(map(len, lines)) <= columns
    # which is next, and how much of a name fits beside that, depends on the time of the day
    names = {name for name in DEMO for line in lines[:9] if name[-10:] in line}
    assert (names == set(DEMO)) or columns == 40
    assert ' '.join(lines[9:]) == ' Times are in local time. Path of the tick: /cron'


def test_a_cut_name_can_be_typed(at_terminal, ini):
    lines = at_terminal('list', ini(), columns=40).splitlines()
    cut = [word for line in lines for word in line.split() if '...' in word]
    assert len(cut) >= 4
    for name in cut:
        assert f'pcron: {name!r} is taken for pyramid_cron_demo.tasks.' in at_terminal('show', ini(), name, columns=80)


def test_a_pipe_has_whole_names(pcron, ini):
    done = pcron('list', ini(), columns=40)
    assert all(f'pyramid_cron_demo.tasks.{name}' in done.stdout for name in DEMO)


def test_a_part_of_a_name_is_enough(pcron, ini, journal):
    done = pcron('run', ini(), 'write_report')
    # the log of the run comes after it
    assert done.returncode == 0
    assert done.stderr.startswith("pcron: 'write_report' is taken for pyramid_cron_demo.tasks.write_report\n")
    assert [line.split(' ', 2)[2] for line in journal()] == ['wrote the report of the week']


def test_a_pipe_that_is_closed_ends_it_quietly(program, ini, tmp_path):
    command = f'{program("pcron")} list {ini()} --next 2000 | head -n 1; echo "${{PIPESTATUS[@]}}"'
    done = subprocess.run(['bash', '-c', command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr == ''
    assert done.stdout.splitlines()[1] == '0 0'


def test_list_can_be_json(pcron, ini):
    done = pcron('list', ini(), '--json', '--next', '2', '--at', '2026-12-24 02:00')
    shown = json.loads(done.stdout)
    assert shown['at'] == '2026-12-24T02:00:00+00:00'
    assert [task['due'] for task in shown['tasks']] == [True, True, *[False] * 5, True, True]
    assert shown['tasks'][2] == {
        'name': 'pyramid_cron_demo.tasks.write_report',
        'schedule': '30 7 * * mon',
        'schedule_by': None,
        'schedule_in_code': None,
        'timezone': None,
        'idle': False,
        'description': 'Mail the figures of the week.',
        'next': ['2026-12-28T07:30:00+00:00', '2027-01-04T07:30:00+00:00'],
        'next_utc': ['2026-12-28T07:30:00+00:00', '2027-01-04T07:30:00+00:00'],
        'last': None,
        'last_utc': None,
        'paused': None,
        'stop_requested': None,
        'usual': None,
        'slower_than_usual': False,
        'problems': [],
        'due': False,
        'why': 'min is 0, not 30; hour is 2, not 7; dow is thu, not mon',
        'result': None,
    }


def test_list_shows_what_is_due_at_a_time_and_why(pcron, ini):
    done = pcron('list', ini(), '--at', '2026-12-24 00:00')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == (
        'At 2026-12-24 00:00+00:00, 3 of 9 tasks are due.\n'
        'due      pyramid_cron_demo.tasks.send_mail         all fields match\n'
        'due      pyramid_cron_demo.tasks.warm_cache        all fields match\n'
        'due      pyramid_cron_demo.tasks.compact_database  all fields match\n'
        'not due  pyramid_cron_demo.tasks.purge_sessions    hour is 0, not 2\n'
        'not due  pyramid_cron_demo.tasks.write_report      min is 0, not 30; hour is 0, not 7; dow is thu, not mon\n'
        'not due  pyramid_cron_demo.tasks.fetch_prices      min is 0, not 3-53/10\n'
        'not due  pyramid_cron_demo.tasks.import_orders     min is 0, not 5-50/15\n'
        'not due  pyramid_cron_demo.tasks.make_index        min is 0, not 25\n'
        'not due  pyramid_cron_demo.tasks.back_up           min is 0, not 15; hour is 0, not 4\n'
        '\n'
        'Times are in local time. Path of the tick: /cron\n'
    )


def without_seconds(text):
    return re.sub(r'\d+\.\d{3} s', 'N s', text)


def test_tick_runs_what_is_due(pcron, ini, journal):
    done = pcron('tick', ini(), '--at', '2026-12-24 02:01')
    assert done.returncode == 0
    assert without_seconds(done.stdout) == (
        f'2026-12-24 02:01+00:00: 2 tasks in N s\nok       {MAIL}, N s\nok       {CACHE}, N s\n'
    )
    # the log, as demo.ini has it
    assert 'I sent the mail of the last minute\n' in done.stderr
    assert [line.split(' ', 2)[2].split(',')[0] for line in journal()] == [
        'sent the mail of the last minute',
        'warmed the cache while idle',
    ]
    assert re.fullmatch(
        rf'{REPORT}(\d) tasks in N s\n(ok +[\w.]+, N s\n)+', without_seconds(pcron('tick', ini()).stdout)
    )


@pytest.mark.parametrize('name', ['fails', 'exits'])
@pytest.mark.parametrize('command', ['tick', 'run'])
def test_a_failed_task_is_status_1_and_the_next_runs(start, program, ini, journal, command, name):
    tasks = [f'trouble.{name}', 'trouble.works'] if command == 'run' else []
    process = start(program('pcron'), command, str(ini(tasks=f'{name} works')), *tasks)
    assert process.wait(60) == 1
    assert f'failed   trouble.{name}, ' in process.log.read_text()
    assert journal() == ['works']


def test_a_dry_run_runs_nothing(pcron, ini, journal):
    done = pcron('tick', ini(), '--dry-run', '--at', '2026-12-28 07:30')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == (
        '2026-12-28 07:30+00:00: 3 tasks would run\n'
        f'         {MAIL}\n'
        '         pyramid_cron_demo.tasks.write_report\n'
        f'idle     {CACHE}\n'
    )
    assert journal() == []


def test_run_runs_a_task_that_is_not_due(pcron, ini, journal):
    name = 'pyramid_cron_demo.tasks.write_report'
    done = pcron('run', ini(), name)
    assert done.returncode == 0
    assert re.fullmatch(rf'{REPORT}1 task in N s\nok       {re.escape(name)}, N s\n', without_seconds(done.stdout))
    assert [line.split(' ', 2)[2] for line in journal()] == ['wrote the report of the week']


def test_an_unknown_task_is_one_line_and_status_2(pcron, ini, journal):
    done = pcron('run', ini(), MAIL, 'pyramid_cron_demo.tasks.write_reports')
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == (
        "pcron: no cron task is named 'pyramid_cron_demo.tasks.write_reports'; "
        'is pyramid_cron_demo.tasks.write_report meant?\n'
    )
    assert journal() == []


def test_a_missing_file_is_one_line_and_status_2(pcron):
    done = pcron('list', 'missing.ini')
    assert (done.returncode, done.stdout, done.stderr) == (2, '', 'pcron: there is no file missing.ini\n')


def test_work_ticks_at_three_minutes_and_ends_at_sigterm(start, program, ini, until, journal):
    process = start(program('pcron'), 'work', str(ini()))

    def mailed():
        return [line for line in journal() if line.endswith('sent the mail of the last minute')]

    until(lambda: len(mailed()) == 3, 'three minutes pass', 200, process)
    process.terminate()
    assert process.wait(10) == 0
    times = [datetime.fromisoformat(' '.join(line.split(' ')[:2])) for line in mailed()]
    minutes = [time.replace(second=0) for time in times]
    assert [later - earlier for earlier, later in itertools.pairwise(minutes)] == [timedelta(minutes=1)] * 2
    # at the beginning of each, on a machine that has other things to do too
    assert max(time.second for time in times) < 10
    log = process.log.read_text()
    assert re.findall(r'(?m)^I run for \S+ (\d\d:\d\d)\S+ begins', log) == [f'{time:%H:%M}' for time in minutes]
    assert 'ended by SIGTERM' in log
    assert 'skipped 1 min' not in log


@pytest.fixture
def waiting(start, program, ini, until, tmp_path):
    """Start ``pcron work``, and wait until it runs a task that waits for the test."""
    process = start(program('pcron'), 'work', str(ini(tasks='waits works')))
    until((tmp_path / 'var' / 'waiting').exists, 'the first minute begins', 80, process)
    return process


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_work_ends_the_running_task_and_begins_no_other(waiting, number, tmp_path):
    waiting.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(1)
    (tmp_path / 'var' / 'go').touch()
    assert waiting.wait(10) == 0
    assert not (tmp_path / 'var' / 'journal.txt').exists()
    lines = [re.sub(r'\d+\.\d+ s', 'N s', line) for line in waiting.log.read_text().splitlines()]
    assert re.fullmatch(r'2 tasks, local time\. Next: \d\d:\d\d( on .*)? trouble\.waits and 1 more\..*', lines[0])
    begins = next(index for index, line in enumerate(lines) if 'begins, tasks due' in line)
    assert lines[begins + 1 : -2] == [
        'I task trouble.waits begins',
        'pcron: stopping after the running task; again interrupts it',
        'I task trouble.waits ended in N s',
        'W task trouble.works is skipped: stopping',
    ]
    assert lines[-1] == f'I ended by {number.name}'


def test_a_second_signal_interrupts_the_task(waiting, until, tmp_path):
    waiting.send_signal(signal.SIGINT)
    until(lambda: 'again interrupts it' in waiting.log.read_text(), 'the first signal arrives', 10, waiting)
    waiting.terminate()
    assert waiting.wait(10) == 128 + signal.SIGTERM
    assert waiting.log.read_text().endswith('not run: trouble.works\npcron: interrupted by SIGTERM\n')
    assert not (tmp_path / 'var' / 'journal.txt').exists()


def test_work_logs_to_the_terminal_without_logging_configuration(start, program, ini, until):
    path = ini(tasks='works')
    path.write_text(path.read_text().partition('[loggers]')[0])
    process = start(program('pcron'), 'work', str(path))
    until(lambda: 'ended in' in process.log.read_text(), 'the first minute ends', 80, process)
    process.terminate()
    assert process.wait(10) == 0
    first, *_, last = process.log.read_text().splitlines()
    assert first.startswith('1 task, local time. Next: ')
    assert last == 'I ended by SIGTERM'
