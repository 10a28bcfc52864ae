"""``pcron running``: what takes so long."""

from datetime import timedelta

import pytest
from sqlalchemy import delete

from pyramid_cron.scripts.columns import width_of
from pyramid_cron.store.schema import ticks
from tests.support.night import at
from tests.support.pcron import NOW, TerminalCommand

LONG = 'shop.reports.of_all_customers.monthly_statement'
TASKS = [f'plain, min=0, name={name!r}' for name in ('mails', 'purge', LONG)]


@pytest.fixture
def running(pcron, ini, night):
    """Return a function that returns the lines that the command prints."""

    def running(*words, tasks=TASKS, **options):
        status, out, err = pcron('running', ini(*tasks, settings=night.settings), *words, **options)
        assert (status, err) == (0, '')
        return out.splitlines()

    return running


def test_the_longest_run_comes_first(night, running):
    for name in ('mails', 'purge', LONG):
        night.task(name)
    night.claim('mails', at('23 23:04:59.600'))
    night.claim(LONG, at('23 23:02:09.600'), process='web1')
    assert running() == [
        'running  5 min 20 s  shop.reports.of_all_customers.monthly_statement  since Thu 00:02:09, process 12 on web1',
        'running  2 min 30 s  mails                                            since Thu 00:04:59, process 12 on web2',
    ]
    assert [line.split()[5] for line in running('mails', 'purge')] == ['mails']


def test_what_is_wrong_with_it_is_shown(night, running):
    night.task('mails')
    night.claim('mails', at('23 19:59:59.600'))
    slow = "plain, min=0, name='purge', expect=60"
    night.task('purge')
    night.claim('purge', at('23 23:05:44.600'))
    night.task(LONG)
    handed_over = {'run_id': 'token', 'handed_over_for': 'x', 'started_at': at('23 21:59:59.600').timestamp()}
    night.change(LONG, **handed_over)
    lines = running(tasks=[TASKS[0], slow, TASKS[2].replace('plain,', 'keep, via=__name__ + ".keep",')])
    assert [' '.join(line.split()) for line in lines] == [
        'stuck 3 h 7 min 30 s mails since Wed 20:59:59, process 12 on web2',
        f'queued 1 h 7 min 30 s {LONG} since Wed 22:59:59, overdue, queued for 1 h 7 min 30 s: no worker has begun it',
        'running 105 s purge since Thu 00:05:44, process 12 on web2, slow: running for 105 s, expected 60 s',
    ]


def test_a_stop_that_was_requested_is_shown(pcron, ini, night, running):
    night.task('mails')
    night.claim('mails', at('23 19:59:59.600'))
    pcron('stop', ini(*TASKS, settings=night.settings), 'mails')
    assert ', stop requested by ' in running()[0]


def test_a_run_that_began_in_the_future_has_run_no_time(night, running):
    night.task('mails')
    night.claim('mails', NOW + timedelta(seconds=30))
    assert running()[0].split()[:3] == ['running', '0', 's']


def test_the_last_runs_that_took_longest_are_shown(night, running):
    assert running() == ['Nothing is running.']
    for number in range(7):
        night.task(f'task{number}', last_outcome='ok', last_seconds=number * 60.0, last_finished=at('23 22:00:00'))
    night.change('task6', last_finished=None)
    lines = running()
    assert lines[:3] == ['Nothing is running.', '', 'The last runs that took longest:']
    assert [' '.join(line.split()) for line in lines[3:]] == [
        'ok 6 min task6',
        *(f'ok {number} min task{number} ended Wed 2026-12-23 23:00' for number in (5, 4, 3, 2)),
    ]


def test_lines_fit_a_terminal_and_not_a_pipe(night, running):
    night.task(LONG)
    night.claim(LONG, at('23 23:02:09.600'))
    [line] = running(command=TerminalCommand, columns=60)
    assert width_of(line) <= 60
    assert line.startswith('running  5 min 20 s  shop.reports...nthly_statement  sinc...')
    assert LONG in running(columns=60)[0]


def test_that_no_tick_comes_is_shown(night, running):
    night.execute(delete(ticks))
    assert running() == ['Nothing is running.', '', 'No tick has come yet.']


def test_an_unknown_task_is_refused(pcron, ini, night):
    assert pcron('running', ini(*TASKS, settings=night.settings), 'nothing')[::2] == (
        2,
        "pcron: no cron task is named 'nothing'; 'pcron list' shows their names\n",
    )


def test_it_needs_a_store(pcron, ini):
    assert pcron('running', ini(*TASKS))[2].startswith('pcron: running needs cron.store, which is not set')
