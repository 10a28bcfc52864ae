"""The kill harness: see tests/kills. With more kills and other seeds: ``python -m tests.kills --help``."""

import pytest

from tests.support.modules import run_module

# of processes that take turns with other tests, and still come to some ticks while a run waits
SLOWLY = '--step', '1', '--life', '8', '--patience', '30'


def kill(root, *arguments, module='tests.kills'):
    return run_module(root, module, *arguments)


@pytest.mark.parametrize('requests', [(), ('--each',)], ids=['one', 'each'])
@pytest.mark.parametrize('database', ['sqlite', 'postgresql'])
def test_effects_and_records_agree_whatever_is_killed(root, request, database, requests):
    if database == 'postgresql':
        # skips or fails where there is none
        request.getfixturevalue('start_postgresql')
    assert kill(root, '--database', database, '--kills', '50', *requests) == 0


def test_past_minutes_are_made_good_once_whatever_is_killed(root):
    assert kill(root, '--backfills', '--kills', '50') == 0


def test_the_harness_finds_past_minutes_that_run_twice(root):
    assert any(kill(root, '--control', 'rerun', '--kills', '50', '--seed', str(seed)) == 0 for seed in range(5))


def test_the_harness_finds_repeated_runs_without_a_session(root):
    # where a process is killed is left to chance, so that 50 kills find it most times, and not each time
    assert any(kill(root, '--control', 'repeated', '--kills', '50', '--seed', str(seed)) == 0 for seed in range(5))


def test_the_harness_finds_a_since_that_moves_apart_from_the_work(root):
    assert any(kill(root, '--control', 'apart', '--kills', '50', '--seed', str(seed)) == 0 for seed in range(5))


@pytest.mark.parametrize('engine', ['procrastinate', 'celery'])
def test_enqueued_runs_happen_once_whatever_is_killed(root, engine, start_postgresql, redis_server):
    arguments = '--engine', engine, '--kills', '10', '--minutes', '40', *SLOWLY
    assert kill(root, *arguments, module='tests.kills.queues') == 0


def test_the_harness_finds_workers_that_ignore_the_store(root, start_postgresql, redis_server):
    arguments = '--engine', 'celery', '--kills', '3', '--minutes', '20', '--control'
    assert kill(root, *arguments, module='tests.kills.queues') == 0


@pytest.mark.parametrize('engine', ['procrastinate', 'celery'])
def test_the_harness_finds_messages_that_are_sent_once(root, engine, start_postgresql, redis_server):
    arguments = '--engine', engine, '--kills', '10', '--minutes', '60', *SLOWLY, '--control', 'sent-once'
    # which messages are lost is left to chance
    assert any(kill(root, *arguments, module='tests.kills.queues') == 0 for _ in range(3))
