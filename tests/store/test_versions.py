"""An older and a newer version of this package on one database, as during a deploy: both tick, and no run is lost."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, select

import pyramid_cron
from pyramid_cron.store.schema import runs, tasks, ticks

PACKAGE = Path(pyramid_cron.__file__).parent
INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)

# what the next minor version could change: each text in a module, and what takes its place
CHANGES = {
    'store/migrations.py': [('VERSION = (1, 2)', 'VERSION = (1, 3)')],
    'store/schema.py': [
        (
            "    Column('acknowledged_for', StorableText),\n",
            "    Column('acknowledged_for', StorableText),\n    Column('priority', Integer),\n",
        ),
        ("    Column('log', StorableLog),\n", "    Column('log', StorableLog),\n    Column('cost', Integer),\n"),
    ],
    'store/schedule_text.py': [
        ("    return ' '.join(\n        [", "    return ' '.join(\n        ['v2', "),
        ("(text or '').split(' ')", "(text or '').removeprefix('v2 ').split(' ')"),
    ],
    'store/last_result.py': [("'last_outcome': OK,", "'last_outcome': 'partial',\n        'priority': 1,")],
    'store/complete.py': [
        ('retry = FAILED if will_retry', "retry = 'deferred' if will_retry"),
    ],
    'store/decision.py': [
        (
            'minute, reason = state.last_minute, state.retry_reason',
            """minute, reason = state.last_minute, state.retry_reason
    reason = FAILED if reason == 'deferred' else reason""",
        ),
    ],
}

# a server that executes the orders of its standard input, and answers each with a line
SERVER = """
import json
import logging
import pathlib
import sys
from datetime import datetime, timedelta

from pyramid.config import Configurator

import pyramid_cron
from pyramid_cron.monitoring.health import health_of
from pyramid_cron.store.migrations import VERSION
from pyramid_cron.testing import tick

url, ran, instant = sys.argv[1], pathlib.Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
logged = []


class Collector(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())


logging.getLogger('pyramid_cron').addHandler(Collector(logging.WARNING))


def work(name):
    def body(system):
        line = f"{name} {round((system['scheduled_for'] - instant) / timedelta(minutes=1))}"
        begun = ran.read_text().splitlines()
        with ran.open('a') as file:
            print(line, file=file)
        if name == 'flaky' and line not in begun:
            raise LookupError
    return body


def deploy(schedules):
    settings = {'cron.store': url, 'cron.app': 'app', 'cron.timezone': 'UTC'}
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        for name, minutes in schedules.items():
            retries, was = int(name == 'flaky'), name.removeprefix('new ') if name.startswith('new ') else ()
            config.add_cron_task(work(name), name=name, min=minutes, retries=retries, was=was)
    return config.registry


for line in sys.stdin:
    order, value = json.loads(line)
    if order == 'deploy':
        registry, answer = deploy(value), [pyramid_cron.__file__, VERSION]
    elif order == 'tick':
        answer = str(tick(registry, instant + timedelta(minutes=value)))
    elif order == 'health':
        answer = str(health_of(registry))
    else:
        answer = logged
    print(json.dumps(answer), flush=True)
"""


def pytest_generate_tests(metafunc):
    metafunc.parametrize(
        'url', ['sqlite', 'postgresql'] if metafunc.config.getoption('thorough') else ['sqlite'], indirect=True
    )


@pytest.fixture
def url(request, tmp_path):
    """A database of its own, because its tables become newer than those of this version."""
    if request.param == 'sqlite':
        return f'sqlite:///{tmp_path}/cron.sqlite'
    return request.getfixturevalue('postgresql')


@pytest.fixture
def newer(tmp_path):
    """A folder with a copy of this package in its next minor version."""
    copy = tmp_path / 'newer' / 'pyramid_cron'
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns('__pycache__'))
    for name, changes in CHANGES.items():
        text = (copy / name).read_text()
        for before, after in changes:
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, after)
        (copy / name).write_text(text)
    return copy.parent


@pytest.fixture
def start(url, tmp_path):
    """Return a function that starts a server with the package of a folder, and returns a function for its orders."""
    started = []
    (tmp_path / 'ran').touch()

    def start(folder):
        process = subprocess.Popen(
            [sys.executable, '-c', SERVER, url, tmp_path / 'ran', INSTANT.isoformat()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(folder)},
        )
        started.append(process)

        def order(name, value=None):
            print(json.dumps([name, value]), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        return order

    yield start
    for process in started:
        process.communicate()


def is_due(minutes, minute):
    return minute % int(minutes.removeprefix('*/')) == 0


@pytest.mark.slow
def test_two_minor_versions_tick_side_by_side(url, newer, start, tmp_path):
    schedules = {'often': '*/2', 'changed': '*/4', 'flaky': '*/6'}
    # the minutes at which a deploy comes to each of the two
    deploys = {
        'old': {0: schedules, 25: {**schedules, 'added': '*/5'}, 40: {**schedules, 'added': '*/5', 'changed': '*/5'}},
        'new': {10: schedules, 20: {**schedules, 'added': '*/5'}, 43: {**schedules, 'added': '*/5', 'changed': '*/5'}},
    }
    servers, active, due = {'old': start(PACKAGE.parent), 'new': start(newer)}, {}, set()
    for minute in range(61):
        for name in ('old', 'new') if minute % 2 else ('new', 'old'):
            if minute in deploys[name]:
                active[name] = deploys[name][minute]
                file, version = servers[name]('deploy', active[name])
                assert Path(file).is_relative_to(newer) is (name == 'new')
                assert version == [1, 2 + int(name == 'new')]
            if name in active:
                answer = servers[name]('tick', minute)
                assert answer.startswith('ok') or answer.endswith('failed: flaky'), answer
                due |= {(task, minute) for task, minutes in active[name].items() if is_due(minutes, minute)}

    engine = create_engine(url)
    assert {'priority'} <= {column['name'] for column in inspect(engine).get_columns('cron_tasks')}
    with engine.begin() as connection:
        ended = Counter(map(tuple, connection.execute(select(runs.c.task, runs.c.scheduled_for, runs.c.outcome))))
        words = set(connection.scalars(select(tasks.c.last_outcome)))
        # health is by the clock of the database
        now = datetime.now(timezone.utc)
        connection.execute(ticks.update().values(last_minute=now, done_minute=now))
    engine.dispose()
    minutes = {key: INSTANT + timedelta(minutes=key[1]) for key in due}
    good = {(task, minutes[task, minute], 'ok') for task, minute in due if (task, minute) != ('flaky', 60)}
    failed = {('flaky', minutes[task, minute], 'failed') for task, minute in due if task == 'flaky'}
    assert ended == dict.fromkeys(good | failed, 1)
    ran = Counter((tmp_path / 'ran').read_text().splitlines())
    assert ran == {f'{task} {minute}': 2 if task == 'flaky' and minute < 60 else 1 for task, minute in due}
    assert 'partial' in words
    for server in servers.values():
        server('tick', 61)
        assert server('health').startswith('ok'), server('health')
        assert {line.partition(' after ')[0] for line in server('log')} <= {'task flaky failed'}


@pytest.mark.slow
def test_a_deploy_that_renames_a_task_runs_each_minute_once(url, start, tmp_path):
    old, new = start(PACKAGE.parent), start(PACKAGE.parent)
    old('deploy', {'often': '*', 'seldom': '*/6'})
    new('deploy', {'new often': '*', 'new seldom': '*/6'})
    for minute in range(61):
        # in turn, at once in either order, and the new one alone at the end
        both = [old, new] if minute % 3 else [new, old]
        for server in [new] if minute > 50 else both[: 1 + minute % 2] if minute else [old]:
            answer = server('tick', minute)
            assert answer.startswith('ok'), answer
    ran = Counter(line.removeprefix('new ') for line in (tmp_path / 'ran').read_text().splitlines())
    assert ran == Counter(
        f'{name} {minute}' for name, every in (('often', 1), ('seldom', 6)) for minute in range(0, 61, every)
    )
    engine = create_engine(url)
    with engine.begin() as connection:
        assert sorted(connection.scalars(select(tasks.c.task))) == ['new often', 'new seldom']
    engine.dispose()
    assert (old('log'), new('log')) == ([], [])
