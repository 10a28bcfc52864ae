"""The demo of the README with its made-up night. ``SCREENSHOTS`` names a folder for pictures of its pages."""

import os
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from pyramid.paster import get_app

from pyramid_cron.monitoring.problems import find_problems
from pyramid_cron.testing import tick
from tests.support.browser import visits

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
PREFIX = 'pyramid_cron_demo.tasks.'
# the last one is in the minutes that have no tick
NOWS = [datetime(2020, 3, day, *at, tzinfo=timezone.utc) for day, *at in [(4, 7, 10), (2, 7, 30), (5, 2, 0), (5, 2, 3)]]


@pytest.fixture
def registry(ini, program):
    """The registry of the demo, in UTC."""
    # skips or fails where the demo is not installed
    program('demo-night')
    registry = get_app(str(ini(store=True, settings={'cron.timezone': 'UTC'}))).registry
    yield registry
    registry['cron_store'].database.engine.dispose()


@pytest.fixture
def write(registry):
    from pyramid_cron_demo.night import write_night

    return lambda now: write_night(registry, now)


@pytest.fixture
def history(registry):
    """Return the runs, and the missed minutes with their tasks, the newest first."""

    def read():
        with registry['cron_store'].queries() as queries:
            return queries.past_runs(10000), [(missed.task, missed.last) for missed in queries.missed(10000)]

    return read


@pytest.mark.parametrize('now', NOWS, ids=str)
def test_the_night_has_each_kind_of_trouble(registry, write, history, now):
    number = write(now)
    runs, missed = history()
    assert len(runs) == number > 5000
    assert {run.host for run in runs} == {'made-up'}
    assert {run.outcome for run in runs} == {'ok', 'failed', 'lost', 'running'}
    assert max(run.started for run in runs) < now
    assert min(run.started for run in runs if run.task == f'{PREFIX}send_mail') >= now - DAY
    [(task, minute)] = missed
    assert task == f'{PREFIX}purge_sessions'
    assert now - DAY <= minute < now
    snapshot = replace(registry['cron_store'].snapshot(), now=now)
    problems = find_problems(snapshot, registry['cron_tasks'], 60)
    assert {problem.task.removeprefix(PREFIX): problem.word for problem in problems} == {
        'back_up': 'lost',
        'fetch_prices': 'failed',
        'purge_sessions': 'missed',
        'make_index': 'slow',
        'write_report': 'paused',
    }


def test_what_went_wrong_is_named_as_made_up(write, history):
    write(NOWS[0])
    failed = [run for run in history()[0] if run.outcome == 'failed']
    assert {(run.reason[:7], run.traceback[:15]) for run in failed} == {('made up', 'This is made up')}


def test_a_second_call_adds_nothing(write, history):
    write(NOWS[0])
    before = history()
    assert write(NOWS[0] + 10 * MINUTE) == 0
    assert history() == before


@pytest.mark.parametrize('now', NOWS, ids=str)
def test_a_tick_after_the_night_runs_what_is_due_and_owes_nothing(registry, write, history, now):
    write(now)
    before = history()
    # the one in progress has been so for years, by the clock of the machine
    outcomes = {task.name: task.outcome for task in tick(registry, now).tasks if task.outcome != 'stuck'}
    assert set(outcomes) == {task.name for task in registry['cron_tasks'] if task.check(now)}
    assert set(outcomes.values()) <= {'ok', 'paused'}
    runs, missed = history()
    assert missed == before[1]
    assert {run.scheduled_for for run in runs[: len(runs) - len(before[0])]} == {now}


def test_real_runs_are_kept_and_owe_nothing_either(registry, write, history):
    now = NOWS[0]
    # import_orders too, of which another run is in progress then
    tick(registry, now - 5 * MINUTE)
    real, _ = history()
    assert len(real) == 3
    write(now)
    runs, before = history()
    assert [run.outcome for run in runs].count('running') == 1
    minutes = [(run.task, run.scheduled_for) for run in runs]
    assert len(set(minutes)) == len(minutes)
    assert set(real) <= set(runs)
    tick(registry, now)
    assert history()[1] == before


@pytest.fixture
def command(root):
    """The line of the README that serves the demo."""
    [line] = re.findall(r'(?m)^ +(\.venv/bin/demo-night .*)$', (root / 'README.rst').read_text())
    return line


@pytest.fixture
def served(command, program, start, ini, free_port):
    """Run the line of the README on a free port, and return the address of its page."""
    port = free_port()
    line = command.replace('examples/demo.ini', str(ini(port=port, store=True))).replace('&& ', '&& exec ')
    line = re.sub(r'\.venv/bin/([\w-]+)', lambda found: program(found[1]), line)
    start(program('bash'), '-c', line, listen=('127.0.0.1', port))
    return f'http://127.0.0.1:{port}/admin/cron'


def test_the_command_of_the_readme_shows_the_night(served, chromium, root):
    assert 'http://localhost:6543/admin/cron' in (root / 'README.rst').read_text()
    pages = {'demo': '', 'demo-night': '/timeline', 'demo-task': f'/task?name={PREFIX}fetch_prices'}
    with visits(chromium, served) as visit:
        for width in (1280, 390):
            for scheme in ('light', 'dark'):
                for name, path in pages.items():
                    page = visit(path, width, scheme)
                    if folder := os.environ.get('SCREENSHOTS'):
                        page.screenshot(path=f'{folder}/{name}-{width}-{scheme}.png', full_page=True)
                    assert page.evaluate('document.documentElement.scrollWidth') <= width
        attention = visit().locator('main').inner_text()
    words = ['no tick', 'lost', 'failed', 'missed', 'slow', 'paused', 'running']
    assert [word for word in words if word not in attention] == []
    assert 'made up: no answer from prices.example' in attention
