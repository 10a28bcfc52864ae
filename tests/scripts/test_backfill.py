"""``pcron run --for``: one task for past minutes."""

import getpass
import io
import re
import shlex
import signal
import sys
import textwrap
from datetime import datetime, timezone
from itertools import cycle
from pathlib import Path

import pytest
from sqlalchemy import select, update

from pyramid_cron import perform
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.scripts.backfill import MOST_UNASKED, PATIENCE
from pyramid_cron.scripts.progress_bar import ERASE
from pyramid_cron.settings import app_name
from pyramid_cron.store.schema import tasks
from tests.support.pcron import NOW, FixedCommand

# until NOW, which is 00:07 in Berlin
LEFT = 'left to the next tick (pcron tick), which runs them or records them as missed'
EACH_TEN = "plain, min='*/10', name='plain', catch_up=0"
PAGE = Path(__file__).parents[2] / 'docs' / 'backfill.rst'
BETWEEN = ('--for', '2026-12-23 23:40', '--until', '2026-12-24 00:00')
# now at the clock of the database
TICK = ('tick', '--at', '00:00')


def example(kind):
    """Return the first example of a kind on the page about past minutes."""
    page = PAGE.read_text(encoding='utf-8')
    return textwrap.dedent(re.search(rf'\.\. code-block:: {kind}\n(?:    :.*\n)*\n((?:    .*\n|\n)+)', page)[1]).strip()


@pytest.mark.slow
def test_the_page_shows_what_the_command_prints(pcron, tmp_path, write_module):
    module, path = write_module(example('python')), tmp_path / 'shop.ini'
    path.write_text(f'{example("ini").replace("call:shop:", f"call:{module}:")}\ncron.keep_history = 100000\n')

    def run(line, now=datetime(2026, 11, 27, 8, 30, tzinfo=timezone.utc)):
        command = type('ThatMorning', (FixedCommand,), {'now': staticmethod(lambda: now)})
        return pcron(*shlex.split(line.replace('shop.ini', str(path)))[1:], columns=200, command=command)

    for minute in ("--at '2026-11-24 02:00'", "--at '2026-11-26 02:00'", ''):
        assert run(f'pcron tick shop.ini {minute}')[0] == 0
    assert 'missed' in run('pcron history shop.ini --failed')[1]
    status, out, err = run(example('sh'))
    assert (status, err) == (0, '')
    assert lines(out) == [re.sub(r'0\.\d+ s', 'N s', line) for line in example('text').splitlines()]
    assert 'missed' not in run('pcron history shop.ini --failed')[1]
    assert f'made good by {getpass.getuser()}' in run('pcron history shop.ini')[1]


def lines(out):
    return [re.sub(r'0\.\d+ s', 'N s', line) for line in out.splitlines()]


def hold(engine, run_id):
    """Let a run that waits for a worker hold the task, or end it."""
    with engine.begin() as connection:
        held = {'run_id': run_id, 'handed_over_for': run_id, 'started_at': NOW.timestamp()}
        connection.execute(update(tasks).values(**held))


@pytest.mark.slow
def test_past_minutes_are_run_the_oldest_first(pcron, ini, stored):
    path = ini(EACH_TEN, settings=stored)
    pcron(*with_ini(TICK, path))
    status, out, err = pcron('run', path, 'plain', *BETWEEN)
    assert (status, err) == (0, '')
    assert lines(out) == [
        'plain was due 3 times from 2026-12-23 23:40+01:00 to 2026-12-24 00:00+01:00: 2 to run now, '
        '1 ok already and left alone',
        'ok       plain, N s, for 2026-12-23 23:40+01:00',
        'ok       plain, N s, for 2026-12-23 23:50+01:00',
    ]
    assert ', ok in N s, for Wed 2026-12-23 23:50' in '\n'.join(lines(pcron('show', path, 'plain', columns=200)[1]))
    status, out, _ = pcron('run', path, 'plain', '--for', '2026-12-23 23:40', '--again')
    assert (status, lines(out)) == (
        0,
        [
            'plain was due at 2026-12-23 23:40+01:00: 1 to run now',
            'ok       plain, N s, for 2026-12-23 23:40+01:00, attempt 2',
        ],
    )
    _, out, _ = pcron('history', path, columns=200)
    assert f'plain, backfill, {getpass.getuser()}, for ' in out
    assert pcron('run', path, 'plain', *BETWEEN)[:2] == (
        0,
        'plain was due 3 times from 2026-12-23 23:40+01:00 to 2026-12-24 00:00+01:00: 3 ok already and left alone\n',
    )


def with_ini(words, path):
    return (words[0], path, *words[1:])


@pytest.mark.slow
def test_the_first_failure_ends_it(pcron, ini, stored):
    path = ini("fails, min='*/10', name='fails'", settings=stored)
    status, out, _ = pcron('run', path, 'fails', *BETWEEN)
    assert (status, lines(out)[1:]) == (
        1,
        [
            'failed   fails, N s, for 2026-12-23 23:40+01:00: RuntimeError',
            '2 minutes are left, from 2026-12-23 23:50+01:00 on: the same command goes on there.',
        ],
    )
    status, out, _ = pcron('run', path, 'fails', '--for', '2026-12-24 00:00')
    assert (status, len(out.splitlines())) == (1, 2)
    # of several tasks that are made good, one is to be looked at
    assert 'fails, 2026-12-23' not in out


def test_a_task_that_skips_is_no_failure(pcron, ini, stored):
    path = ini("skips, min='*/10', name='skips'", settings=stored)
    status, out, _ = pcron('run', path, 'skips', *BETWEEN)
    assert (status, len(out.splitlines())) == (0, 4)
    assert lines(out)[1] == 'skipped  skips, N s, for 2026-12-23 23:40+01:00: no new file'


def test_a_signal_ends_it_between_two_minutes(pcron, ini, stored):
    status, out, err = pcron('run', ini("ends, min='*/10', name='ends'", settings=stored), 'ends', *BETWEEN)
    assert (status, lines(out)[1:]) == (
        143,
        [
            'ok       ends, N s, for 2026-12-23 23:40+01:00',
            '2 minutes are left, from 2026-12-23 23:50+01:00 on: the same command goes on there.',
        ],
    )
    assert err == 'pcron: interrupted by SIGTERM\n'


def test_a_second_signal_interrupts_the_task(pcron, ini, stored):
    path = ini("interrupted, min='*/10', name='interrupted'", settings=stored)
    status, out, err = pcron('run', path, 'interrupted', *BETWEEN)
    assert (status, len(out.splitlines()), err) == (130, 1, 'pcron: interrupted by SIGINT\n')


@pytest.mark.slow
def test_what_is_left_to_the_ticks_did_not_run(pcron, ini, stored):
    path = ini(EACH_TEN, "plain, min=0, hour=5, name='old'", settings=stored)
    pcron(*with_ini(('tick', '--at', '2026-12-23 23:40'), path))
    status, out, _ = pcron('run', path, 'plain', '--for', '2026-12-23 23:50')
    assert (status, out) == (
        1,
        f'plain was due at 2026-12-23 23:50+01:00: 1 {LEFT}\n',
    )
    status, out, _ = pcron('run', path, 'plain', *BETWEEN)
    assert (status, out.partition(': ')[2]) == (
        0,
        f'1 ok already and left alone, 2 {LEFT}\n',
    )
    path = ini(EACH_TEN, settings=stored.replace('100000', '0.5'))
    status, out, _ = pcron('run', path, 'plain', '--for', '2020-12-23 23:50')
    assert (status, out.partition(': ')[2]) == (1, '1 older than the history and left alone (--again runs them)\n')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('words', 'problem'),
    [
        (
            ['plain', '--for', 'tomorrow 23:45'],
            "--for 'tomorrow 23:45' is in the future: it is Thu 2026-12-24 00:07 in Europe/Berlin",
        ),
        # none that is refused itself, because it is in the future
        (
            ['plain', '--for', '00:05'],
            'plain was not due at 2026-12-24 00:05+01:00; the nearest minutes: 2026-12-24 00:00+01:00\n',
        ),
        (
            ['plain', '--for', '2026-12-23 23:41', '--until', '2026-12-23 23:49'],
            'plain was not due from 2026-12-23 23:41+01:00 to 2026-12-23 23:49+01:00; the nearest minutes: '
            '2026-12-23 23:40+01:00 and 2026-12-23 23:50+01:00',
        ),
        (['never', '--for', '00:05'], 'never was not due at 2026-12-24 00:05+01:00; the nearest minutes: none'),
        (['plain', '--for', 'noon'], "--for 'noon' is not a time such as '2026-12-24 00:00', 22:00, yesterday, monday"),
        (['plain', '--for', '00:00', '--until', 'x'], "--until 'x' is not a time"),
        (['plain', '--for', '00:01', '--until', '00:00'], "--until '00:00' is before --for '00:01'"),
        (['plain', '--for', '2020-01-01', '--until', '00:00'], 'plain was due more than 10000 times then: name a '),
        (['plain', 'never', '--for', '00:00'], 'name one task with --for: each is made good by itself'),
        (['--for', '00:00'], "name the tasks to run; 'pcron list' shows their names"),
        (['pain', '--for', '00:00'], "no cron task is named 'pain'; is plain meant?"),
        (['plain', '--until', '00:00'], '--until needs --for, the first past minute to run the task for'),
        (['plain', '--again'], '--again needs --for, the first past minute to run the task for'),
        (['plain', '--yes'], '--yes needs --for, the first past minute to run the task for'),
        (['own', '--for', '00:00'], 'own is not kept in cron.store (store=False): what it ran for is not known'),
    ],
)
def test_what_names_no_past_minute_is_refused(pcron, ini, stored, words, problem):
    never = "plain, min=0, hour=0, day=29, month=2, dow='mon', name='never'"
    status, out, err = pcron('run', ini(EACH_TEN, never, "plain, name='own', store=False", settings=stored), *words)
    assert (status, out) == (2, '')
    assert err.startswith(f'pcron: {problem}')


def test_without_a_store_there_are_no_past_minutes(pcron, ini):
    status, _, err = pcron('run', ini(EACH_TEN), 'plain', '--for', '00:00')
    assert status == 2
    assert err.startswith('pcron: run needs cron.store, which is not set')


def test_an_early_answer_is_one_line_and_status_1(pcron, ini, stored):
    status, _, err = pcron('run', ini(EACH_TEN, settings=f'{stored}\nclosed = yes'), 'plain', '--for', '00:00')
    assert (status, err) == (
        1,
        'pcron: the application answered 503 Service Unavailable before its tasks could run\n',
    )


ENQUEUED = "plain, min='*/10', name='plain', via=keep"


class WorkerCommand(FixedCommand):
    """Has a worker, which runs what is enqueued during the second wait."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        waits = cycle([lambda: None, self.work])
        self.shutdown.wait = lambda seconds: next(waits)()

    def work(self):
        [state] = self.registry['cron_store'].states().values()
        app = app_name(self.settings, self.registry)
        perform(self.app, f'{app}:{state.task}@{state.handed_over_for}')


def test_a_task_that_is_enqueued_is_waited_for(pcron, ini, stored):
    path = ini(ENQUEUED, settings=stored)
    words = 'run', path, 'plain', '--for', '2026-12-23 23:40', '--until', '2026-12-23 23:50'
    status, out, err = pcron(*words, command=WorkerCommand)
    assert (status, err) == (0, '')
    printed = lines(out)
    minutes = ['2026-12-23 23:40+01:00', '2026-12-23 23:50+01:00']
    assert [line.partition(', with')[0] for line in printed[1:]] == [
        f'{outcome:8} plain, N s, for {minute}' for minute in minutes for outcome in ('queued', 'ok')
    ]


def test_an_enqueued_minute_that_does_not_succeed_ends_the_command(pcron, ini, stored):
    path = ini("fails, min='*/10', name='fails', via=keep", settings=stored)
    words = 'run', path, 'fails', '--for', '2026-12-23 23:40', '--until', '2026-12-23 23:50'
    status, out, _ = pcron(*words, command=WorkerCommand)
    assert status == 1
    *_, failed, left = lines(out)
    assert failed == 'failed   fails, N s, for 2026-12-23 23:40+01:00: RuntimeError: a detail'
    assert left.startswith('1 minute is left, from 2026-12-23 23:50+01:00 on: ')


def test_an_enqueued_minute_at_which_there_was_nothing_to_do_is_no_failure(pcron, ini, stored):
    path = ini("skips, min='*/10', name='skips', via=keep", settings=stored)
    status, out, _ = pcron('run', path, 'skips', '--for', '2026-12-23 23:40', command=WorkerCommand)
    assert status == 0
    assert lines(out)[-1].startswith('skipped  skips, N s, for 2026-12-23 23:40+01:00: ')


def test_a_signal_ends_the_wait_and_not_the_run(pcron, ini, stored, engine_of_app):
    path = ini(ENQUEUED, settings=stored)
    status, out, err = pcron('run', path, 'plain', '--for', '2026-12-23 23:40', command=EndedCommand)
    assert (status, err) == (130, 'pcron: interrupted by SIGINT\n')
    assert lines(out)[-1].startswith('1 minute is left, from 2026-12-23 23:40+01:00 on: ')
    with engine_of_app.begin() as connection:
        assert connection.scalar(select(tasks.c.handed_over_for)) is not None


def test_a_task_that_is_enqueued_runs_here_on_request(pcron, ini, stored):
    path = ini(ENQUEUED, settings=stored)
    status, out, _ = pcron('run', path, 'plain', '--for', '2026-12-23 23:40', '--here')
    assert (status, lines(out)[1:]) == (0, ['ok       plain, N s, for 2026-12-23 23:40+01:00'])


class HurriedCommand(FixedCommand):
    """Has no patience after its first attempt."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.monotonic = iter([0.0, PATIENCE]).__next__


class PatientCommand(FixedCommand):
    """Waits for a task that is free after the second wait."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        waits = iter([lambda: None, self.end])
        self.shutdown.wait = lambda seconds: next(waits)()

    def end(self):
        hold(self.registry['cron_store'].database.engine, None)


class EndedCommand(FixedCommand):
    """Receives a signal while it waits."""

    def __init__(self, *arguments):
        super().__init__(*arguments)

        def wait(seconds):
            self.shutdown.signal = signal.SIGINT

        self.shutdown.wait = wait


@pytest.mark.slow
def test_a_task_that_is_busy_is_waited_for(pcron, ini, stored, engine_of_app):
    path = ini(EACH_TEN, settings=stored)
    pcron(*with_ini(TICK, path))
    hold(engine_of_app, 'other')
    words = 'run', path, 'plain', '--for', '2026-12-23 23:50'
    status, out, err = pcron(*words, command=HurriedCommand)
    assert (status, lines(out)[1:], err) == (
        1,
        ['skipped  plain, N s, for 2026-12-23 23:50+01:00: still queued, since 2026-12-24 00:07:30+01:00'],
        '',
    )
    status, out, err = pcron(*words, command=EndedCommand)
    assert (status, out.splitlines()[1:]) == (
        130,
        ['1 minute is left, from 2026-12-23 23:50+01:00 on: the same command goes on there.'],
    )
    status, out, err = pcron(*words, command=PatientCommand)
    assert (status, lines(out)[1:]) == (0, ['ok       plain, N s, for 2026-12-23 23:50+01:00'])
    assert err == 'pcron: waiting for plain: still queued, since 2026-12-24 00:07:30+01:00\n'


class Typed(io.StringIO):
    """What a person types at a terminal."""

    def isatty(self):
        return True


@pytest.mark.slow
@pytest.mark.parametrize(
    ('typed', 'more', 'runs'),
    [('y\n', (), True), ('Yes\n', (), True), ('\n', (), False), ('', (), False), ('', ('--yes',), True)],
)
def test_a_person_is_asked_before_many_minutes(pcron, ini, stored, monkeypatch, typed, more, runs):
    path = ini("plain, min='*', name='plain'", settings=stored)
    monkeypatch.setattr(sys, 'stdin', Typed(typed))
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True, raising=False)
    few = NOW - MOST_UNASKED * MINUTE, NOW - MINUTE
    assert pcron('run', path, 'plain', '--for', few[0].isoformat(), '--until', few[1].isoformat())[0] == 0
    status, out, _ = pcron(
        'run', path, 'plain', '--for', '2026-12-23 23:30', '--until', '2026-12-23 23:40', *more, columns=200
    )
    # without the bar, which each line erases
    out = re.sub(rf'{re.escape(ERASE)}(?:\[[^\r]*)?', '', out)
    question = 'Run it 11 times, the oldest minute first? [y/N] '
    assert (status, question in out) == (0 if runs else 1, not more)
    assert out.count('\nok ') + out.count(f'{question}ok ') == (11 if runs else 0)
    assert out.endswith('Nothing was run.\n') != runs


def test_many_minutes_have_a_bar_on_a_terminal(pcron, ini, stored, monkeypatch):
    path = ini("counts, min='*/10', name='counts', catch_up=0", settings=stored)
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True, raising=False)
    status, out, _ = pcron('run', path, 'counts', *BETWEEN, columns=200)
    assert status == 0
    assert f'{ERASE}[--------------------] 0 %, counts, 3 minutes' in out
    # each line erases it, and nothing is left of it
    assert f'{ERASE}ok       counts' in out
    assert out.rpartition(ERASE)[2].startswith('ok       counts')


def test_one_minute_has_the_progress_of_its_task(pcron, ini, stored):
    path = ini("counts, min='*/10', name='counts', catch_up=0", settings=stored)
    _, out, _ = pcron('run', path, 'counts', '--for', '2026-12-23 23:40', columns=200)
    assert [line for line in out.splitlines() if '%' in line] == ['counts: 0 %', 'counts: 100 %']


@pytest.mark.slow
def test_in_a_pipe_nobody_is_asked(pcron, ini, stored, monkeypatch):
    path = ini("plain, min='*', name='plain'", settings=stored)
    monkeypatch.setattr(sys, 'stdin', Typed(''))
    status, out, _ = pcron('run', path, 'plain', '--for', '2026-12-23 23:30', '--until', '2026-12-23 23:40')
    assert (status, len(out.splitlines())) == (0, 12)


def test_a_task_that_is_off_has_no_minutes_to_make_good(pcron, ini, stored):
    path = ini(EACH_TEN, settings=f'{stored}\ncron.schedules = plain = off')
    assert pcron('run', path, 'plain', '--for', '2020-12-23 23:50') == (
        2,
        '',
        'pcron: plain is off, by cron.schedules: no minute is due\n',
    )


def test_a_schedule_that_is_not_known_is_named(pcron, ini, stored, engine_of_app):
    path = ini(EACH_TEN, settings=stored)
    pcron(*with_ini(TICK, path))
    changed = NOW.replace(hour=22, minute=45, second=0)
    with engine_of_app.begin() as connection:
        connection.execute(update(tasks).values(first_seen=changed - 540 * MINUTE, schedule_changed_at=changed))
    only = 'and only minutes with an entry in the history count'
    limit = f'; the schedule before 2026-12-23 23:45+01:00 is not known, {only}'
    _, out, _ = pcron('run', path, 'plain', *BETWEEN)
    assert out.splitlines()[0].endswith(f': 1 to run now, 1 ok already and left alone{limit}')
    status, out, err = pcron('run', path, 'plain', '--for', '2026-12-23 23:40')
    assert (status, out) == (2, '')
    assert 'plain was not due at 2026-12-23 23:40+01:00; the nearest minutes: ' in err
    assert err.endswith(f'{limit}\n')
