"""The outputs of runs in progress: collected, written by heartbeats, and kept with the run."""

import logging
import threading
from functools import partial

import pytest
from sqlalchemy import event, update
from sqlalchemy.exc import DataError

from pyramid_cron import Skip
from pyramid_cron.run_output import RunOutput
from pyramid_cron.store.live_outputs import read_outputs
from pyramid_cron.store.live_progress import read_progress
from pyramid_cron.store.schema import processes, runs
from tests.support.servers import Clock

LOGGER = logging.getLogger('shop')
ALL = {'min': '*'}


@pytest.fixture(autouse=True)
def level(caplog):
    caplog.set_level('INFO', 'shop')


def outputs(servers):
    """Return of each run, in the order of their tasks, its outcome, its note and its log without times."""
    rows = sorted(servers.rows(runs), key=lambda row: (row['task'], row['started']))
    return [(row['outcome'], row['note'], without_times(row['log'])) for row in rows]


def without_times(log):
    return log and [line.partition(' ')[2] for line in log.splitlines()]


def live(servers):
    """Return the outputs and the progress in the row of the one process."""
    (row,) = servers.rows(processes)
    return [*read_outputs(row['outputs']).values()], [*read_progress(row['progress']).values()]


def talks(system):
    system['note']('1,204 rows')
    LOGGER.info('caf\xe9')


def fails(system):
    talks(system)
    raise LookupError


def skips(system):
    talks(system)
    raise Skip('nothing to do')


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize(('body', 'outcome'), [(talks, 'ok'), (fails, 'failed'), (skips, 'skipped')])
def test_note_and_log_are_kept_with_the_run(servers, body, outcome):
    servers.start().add(body=body).tick(0)
    assert outputs(servers) == [(outcome, '1,204 rows', ['INFO shop: caf\xe9'])]


def test_what_is_logged_before_and_after_the_task_is_not_in_it(servers, caplog):
    caplog.set_level('INFO')
    servers.start().add(body=lambda system: None).tick(0)
    assert outputs(servers) == [('ok', None, None)]


def test_two_tasks_never_mix(servers):
    server = servers.start()
    for name in ('first', 'second'):
        server.add(name, lambda system, name=name: LOGGER.info(name), **ALL)
    server.tick(0)
    assert [log for _, _, log in outputs(servers)] == [['INFO shop: first'], ['INFO shop: second']]


def test_two_tasks_at_once_never_mix(servers):
    server, barrier = servers.start(), threading.Barrier(2)

    def body(system, name):
        barrier.wait(60)
        for _ in range(20):
            LOGGER.info(name)
        barrier.wait(60)

    names = 'first', 'second'
    for name in names:
        server.add(name, partial(body, name=name), hour=5)
    server.ready()
    threads = [threading.Thread(target=server.tick, args=[0, [name]]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [log for _, _, log in outputs(servers)] == [[f'INFO shop: {name}'] * 20 for name in names]


def test_a_run_within_a_run_has_a_log_of_its_own(servers):
    server = servers.start()

    def outer(system):
        LOGGER.info('before')
        server.tick(1, names=['inner'])
        LOGGER.info('after')

    server.add('inner', lambda system: LOGGER.info('within'), hour=5).add('outer', outer, min=0).tick(0)
    assert [log for _, _, log in outputs(servers)] == [
        ['INFO shop: within'],
        ['INFO shop: before', 'INFO shop: after'],
    ]


@pytest.mark.slow
@pytest.mark.parametrize(('size', 'length'), [('0', None), ('100', 100), ('16k', 16_000), ('64k', 64_000)])
@pytest.mark.each_database
def test_as_much_of_the_log_is_kept_as_the_setting_allows(servers, size, length):
    def body(system):
        for number in range(2000):
            LOGGER.info('%060d', number)

    servers.start(keep_log=size).add(body=body).tick(0)
    ((_, _, log),) = [(row['id'], row['note'], row['log']) for row in servers.rows(runs)]
    assert (log and len(log)) == length
    assert log is None or log.endswith('1999')


def test_a_note_needs_no_log(servers):
    servers.start(keep_log=0).add(body=talks).tick(0)
    assert outputs(servers) == [('ok', '1,204 rows', None)]


def test_the_times_of_the_log_are_those_of_the_application(servers):
    servers.start(timezone='Asia/Kathmandu').add(body=talks).tick(0)
    (row,) = servers.rows(runs)
    minute = (row['started'].hour * 60 + row['started'].minute + 345) % 1440
    hour, minutes = map(int, row['log'].split(':')[:2])
    assert (hour * 60 + minutes - minute) % 1440 <= 1


@pytest.mark.slow
@pytest.mark.each_database
def test_a_heartbeat_writes_what_has_changed(servers):
    server = servers.start()
    found = []

    def body(system):
        def beat():
            with server.statements() as statements:
                server.claims.own.heartbeat.beat()
            found.append(len(statements))
            return live(servers)

        assert beat() == ([], [])
        system['note']('n\xf6te')
        LOGGER.info('first')
        ((note, log),), progress = beat()
        assert (note, without_times(log), progress) == ('n\xf6te', ['INFO shop: first'], [])
        system['progress'](1, 4)
        ((_, _),), ((done, total, at, left),) = beat()
        assert (done, total, left) == (1, 4, None)
        assert beat()[1] == [(done, total, at, left)]
        assert server.store.states()['task'].progress == (done, total, at, left)

    server.add(body=body).tick(0)
    # the lease alone, then with the output, with the progress, and alone
    assert found[0] == found[3]
    assert found[1] == found[2] > found[0]
    assert outputs(servers) == [('ok', 'n\xf6te', ['INFO shop: first'])]
    # which is a run no more
    server.claims.own.heartbeat.beat()
    assert live(servers) == ([], [])
    assert server.store.states()['task'].progress is None


@pytest.mark.slow
@pytest.mark.each_database
def test_a_run_that_is_lost_keeps_what_its_last_heartbeat_wrote(servers):
    server = servers.start().add(body=talks)
    server.tick(0)
    (run,) = server.runs(5)
    run.claim()
    output = RunOutput('task', Clock())
    with run.kept(output):
        output.take_note('half of it')
        LOGGER.info('before the heartbeat')
        server.claims.own.heartbeat.beat()
        LOGGER.info('after it')
    # as if the process were killed here
    servers.execute(update(processes).values(boot_and_pidns='another', lease_until=0.0))
    other = servers.start().add(body=lambda system: None)
    (report,) = [task for task in other.tick(6).tasks if task.outcome == 'lost']
    assert report.outcome == 'lost'
    assert ('lost', 'half of it', ['INFO shop: before the heartbeat']) in outputs(servers)
    server.claims.outputs.end(run.run_id)


def test_a_run_that_is_lost_without_output_keeps_nothing(servers):
    server = servers.start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    server.tick(1)
    assert sorted(outputs(servers)[:2]) == [('lost', None, None), ('ok', None, None)]


def test_a_run_that_is_interrupted_keeps_its_output(servers):
    server = servers.start()

    def body(system):
        talks(system)
        raise KeyboardInterrupt

    server.add(body=body)
    with pytest.raises(KeyboardInterrupt):
        server.tick(0)
    assert outputs(servers) == [('lost', '1,204 rows', ['INFO shop: caf\xe9'])]


@pytest.mark.slow
@pytest.mark.each_database
def test_a_task_that_logs_costs_no_statement_more(servers):
    counts = []
    server = servers.start().add(body=lambda system: talks(system) if len(counts) > 3 else None, **ALL)
    # the first ones register the task and connect
    for minute in range(6):
        with server.statements() as statements:
            server.tick(minute)
        counts.append(len(statements))
    assert counts[2] == counts[3] == counts[4] == counts[5]
    assert [note for _, note, _ in outputs(servers)] == [None] * 4 + ['1,204 rows'] * 2


def test_an_outage_of_the_database_is_logged(servers, warnings):
    server = servers.start()

    def body(system):
        talks(system)
        with server.outage(of=processes, kind='update', sets='outputs'):
            server.claims.own.heartbeat.beat()
        assert live(servers) == ([], [])
        server.claims.own.heartbeat.beat()
        assert len(live(servers)[0]) == 1

    server.add(body=body).tick(0)
    (warning,) = warnings()
    assert warning.startswith('the output of runs in progress cannot be recorded yet: the store is not available')


def test_output_without_a_row_of_the_process_is_written_later(servers):
    server = servers.start()

    def body(system):
        talks(system)
        server.claims.outputs.write('another process')
        server.claims.own.heartbeat.beat()
        assert len(live(servers)[0]) == 1

    server.add(body=body).tick(0)
    assert outputs(servers)[0][0] == 'ok'


def test_a_database_that_refuses_the_log_gets_the_rest(servers, warnings):
    server = servers.start().add(body=talks)

    def refuse(connection, cursor, statement, parameters, *args):
        if 'caf\xe9' in str(parameters):
            raise DataError('', {}, Exception('refused'))

    server.ready()
    event.listen(server.engine, 'before_cursor_execute', refuse)
    server.tick(0)
    assert outputs(servers) == [('ok', '1,204 rows', [r'INFO shop: caf\xe9'])]


def test_a_forked_process_has_none_of_its_parents_runs(servers):
    claims = servers.start().add().claims
    parent, child = RunOutput('task', Clock()), RunOutput('task', Clock())
    with claims.outputs.keep('first', parent):
        # as if this were the child
        claims.outputs._process = -1
        with claims.outputs.keep('second', child):
            assert list(claims.outputs._in_progress) == ['second']
    claims.outputs.end('second')
    claims.outputs.end('first')
    assert child.log._is_closed


def test_nothing_of_a_run_is_held_after_it(servers):
    server = servers.start()
    kept = []
    server.add(body=lambda system: (talks(system), kept.append(system['note'].__self__))).tick(0)
    assert server.claims.outputs._in_progress == {}
    assert not kept[0].log._texts


def test_the_row_of_the_task_is_not_written(servers):
    """Under REPEATABLE READ the transaction of a run that has joined it would fail."""
    server = servers.start()
    seen = []

    def body(system):
        talks(system)
        with server.executed() as statements:
            server.claims.own.heartbeat.beat()
        seen.extend(statements)

    server.add(body=body).tick(0)
    written = {statement.tables[0] for statement in seen if statement.kind == 'update'}
    assert written == {processes.name}
