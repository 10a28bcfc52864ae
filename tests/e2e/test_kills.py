"""The kill harness: see tests/kills. With more kills and other seeds: ``python -m tests.kills --help``."""

import subprocess
import sys

import pytest


def kill(root, *arguments, module='tests.kills'):
    done = subprocess.run([sys.executable, '-m', module, *arguments], cwd=root, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    return done.returncode


@pytest.mark.parametrize('database', ['sqlite', 'postgresql'])
def test_what_tasks_did_is_what_is_recorded_whoever_is_killed_when(root, request, database):
    if database == 'postgresql':
        # skips or fails where there is none
        request.getfixturevalue('start_postgresql')
    assert kill(root, '--database', database, '--kills', '50') == 0


def test_the_harness_finds_duplicates_where_lost_runs_are_repeated_without_the_session(root):
    assert kill(root, '--control', 'repeated', '--kills', '50') == 0


@pytest.mark.parametrize('engine', ['procrastinate', 'celery'])
def test_what_is_handed_over_is_done_once_whoever_is_killed_when(root, engine, start_postgresql, redis_server):
    assert kill(root, '--engine', engine, '--kills', '10', '--minutes', '40', module='tests.kills.queues') == 0


def test_the_harness_finds_what_workers_do_twice_that_do_not_ask_the_store(root, start_postgresql, redis_server):
    arguments = '--engine', 'celery', '--kills', '3', '--minutes', '20', '--control'
    assert kill(root, *arguments, module='tests.kills.queues') == 0
