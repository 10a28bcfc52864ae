"""The comparison on the first page of the documentation, and its sources."""

import ast
import importlib.metadata
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import celery
import pytest
from celery.schedules import crontab
from procrastinate import periodic
from pyramid.config import Configurator

from pyramid_cron import Task
from pyramid_cron.schedules.fields import ScheduleError
from tests.test_docs import rows, section

TESTS = Path(__file__).parent
# a dash
NO = '\N{EN DASH}'
OTHERS = ['Celery beat', 'APScheduler', 'procrastinate', 'crontab']
OFFICIAL = (
    'https://docs.celeryq.dev/en/stable/',
    'https://apscheduler.readthedocs.io/en/3.x/',
    'https://procrastinate.readthedocs.io/en/stable/',
    'https://docs.pylonsproject.org/projects/pyramid/en/latest/',
    'https://github.com/sibson/redbeat',
)
# the tests that hold the cell of pyramid_cron, by feature
HELD = {
    'Needs no process of its own': ['e2e/test_servers.py::test_curl_runs_what_is_due'],
    'Needs no broker': ['test_comparison_page.py::test_pyramid_is_all_that_is_required'],
    'Tasks have the request, settings and session of the application': [
        'test_runner.py::test_each_task_gets_a_fresh_system',
        'test_transactions.py::test_the_same_request_and_session_serve_every_task',
    ],
    'Each task runs on one of several servers': [
        'store/test_servers.py::test_simultaneous_servers_run_each_minute_once'
    ],
    'A missed run is caught up': ['kills/test_found.py::test_minutes_after_a_dead_process_are_caught_up'],
    'One command runs what failed or was missed': [
        'scripts/test_backfill.py::test_the_page_shows_what_the_command_prints'
    ],
    'The work of a run and its record are one commit': [
        'e2e/test_kills.py::test_effects_and_records_agree_whatever_is_killed',
        'e2e/test_kills.py::test_the_harness_finds_repeated_runs_without_a_session',
    ],
    'A page shows what ran': ['status/test_history_page.py::test_entries_stand_below_their_days'],
    'An alarm is sent when nothing runs any more': ['test_docs.py::test_the_mails_about_ticks_that_stop'],
    'Runs more often than once a minute': ['test_comparison_page.py::test_a_schedule_has_no_seconds'],
    'Long tasks run in processes of their own': [
        'e2e/test_processes.py::test_a_task_takes_longer_than_a_worker_of_gunicorn_may'
    ],
    'Schedules change without a restart': ['test_comparison_page.py::test_schedules_are_read_at_the_start'],
    'A task at 2:30 runs once when the clocks change': [
        'test_comparison_page.py::test_a_task_runs_once_when_the_clocks_change'
    ],
}
BERLIN = ZoneInfo('Europe/Berlin')
# the clocks go from 2:00 to 3:00, and from 3:00 to 2:00
CHANGES = {'spring': datetime(2026, 3, 29, tzinfo=timezone.utc), 'autumn': datetime(2026, 10, 25, tzinfo=timezone.utc)}


def compared():
    """Return the rows of the comparison."""
    return rows('index', 'How it compares')


def links():
    text = (TESTS.parent / 'docs' / 'comparison.rst').read_text(encoding='utf-8')
    return dict(re.findall(r'^\.\. _(.+?): (https:.+)$', text, re.MULTILINE))


def test_each_feature_has_its_sources():
    names = {'pyramid_cron': ':doc:|:ref:', **dict.fromkeys(OTHERS, '`_|:manpage:')}
    for feature, *cells in compared():
        bullets = re.findall(r'^- \*\*(.+?)\*\*: ((?:.+\n)(?:  .+\n)*)', section('comparison', feature), re.MULTILINE)
        assert [name for name, _ in bullets] == list(names), feature
        assert len(cells) == len(names), feature
        for name, text in bullets:
            assert re.search(names[name], text), (feature, name)


def test_sources_are_the_projects_own():
    assert [url for url in links().values() if not url.startswith(OFFICIAL)] == []


def test_each_cell_of_ours_is_held_by_tests():
    assert list(HELD) == [feature for feature, *_ in compared()]
    for held in HELD.values():
        for name in held:
            file, _, function = name.partition('::')
            tree = ast.parse((TESTS / file).read_text(encoding='utf-8'))
            assert function in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)], name


def test_a_cell_is_a_tick_or_a_dash_or_has_a_word():
    for feature, *cells in compared():
        assert all(re.fullmatch(rf'✓( [\w. ]+)?|{NO}|[\w ]+', cell) for cell in cells), feature


def test_pyramid_is_all_that_is_required():
    required = importlib.metadata.requires('pyramid_cron')
    assert [re.match(r'[\w-]+', text)[0] for text in required if 'extra ==' not in text] == ['pyramid', 'tzdata']


def test_a_schedule_has_no_seconds():
    with pytest.raises(ScheduleError, match='seconds'):
        Task(print, cron='*/10 * * * * *')


def test_schedules_are_read_at_the_start():
    settings = {'cron.schedules': 'purge = 0 3 * * *', 'cron.timezone': 'UTC'}
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.add_cron_task(print, name='purge', cron='0 2 * * *')
    config.registry.settings['cron.schedules'] = 'purge = 0 4 * * *'
    [task] = config.registry['cron_tasks']
    assert str(task.schedule) == '0 3 * * *'


@pytest.mark.parametrize('season', CHANGES)
def test_a_task_runs_once_when_the_clocks_change(season):
    task = Task(print, cron='30 2 * * *', timezone='Europe/Berlin')
    begin = CHANGES[season] - timedelta(hours=1)
    runs = task.runs(begin)
    found = [next(runs), next(runs)]
    assert [run.date() for run in found] == [CHANGES[season].date() + timedelta(days=day) for day in (0, 1)]


@pytest.mark.skipif(celery.VERSION < (5, 7), reason='the comparison is with Celery 5.7')
@pytest.mark.parametrize('season', CHANGES)
def test_celery_runs_a_task_once_when_the_clocks_change(season):
    app = celery.Celery('shop', set_as_current=False)
    app.conf.timezone = 'Europe/Berlin'
    now = begin = CHANGES[season] - timedelta(hours=4)
    schedule = crontab(minute=30, hour=2, app=app, nowfun=lambda: now.astimezone(BERLIN))
    runs, last = [], begin
    while now < begin + timedelta(days=1):
        if schedule.is_due(last).is_due:
            runs.append(now.astimezone(BERLIN))
            last = now
        now += timedelta(minutes=5)
    assert [run.date() for run in runs] == [CHANGES[season].date()]


def enqueued(cron, minutes):
    """Return the times for which a worker of procrastinate that starts some minutes after 2:30 UTC enqueues a task."""
    due = datetime(2026, 7, 1, 2, 30, tzinfo=timezone.utc)
    task = periodic.PeriodicTask(task=SimpleNamespace(name='purge'), cron=cron, periodic_id='', configure_kwargs={})
    deferrer = periodic.PeriodicDeferrer(periodic.PeriodicRegistry())
    found = deferrer.get_timestamps(task, None, (due + timedelta(minutes=minutes)).timestamp())
    return [datetime.fromtimestamp(stamp, timezone.utc) for stamp in found]


def test_procrastinate_catches_up_for_ten_minutes_and_in_utc(monkeypatch):
    monkeypatch.setenv('TZ', 'Europe/Berlin')
    assert [f'{minute:%H:%M}' for minute in enqueued('30 2 * * *', 9)] == ['02:30']
    assert enqueued('30 2 * * *', 11) == []


def test_procrastinate_has_seconds():
    assert [f'{minute:%H:%M:%S}' for minute in enqueued('30 2 * * * 20', 1)] == ['02:30:20']
