"""Which failures are alarms: as a rule, and as sequences of attempts, which the table in docs/alarms.rst has."""

import logging
import re
import subprocess
import sys
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pyramid.config import Configurator
from sqlalchemy import delete

from pyramid_cron.alarm import Failing, parse_tolerate, report_failure
from pyramid_cron.events import ITaskFinished, ITaskLost, ITaskRecovered
from pyramid_cron.memory_claims import MemoryRun
from pyramid_cron.monitoring.health import Health
from pyramid_cron.monitoring.metrics import expose
from pyramid_cron.quiet import quiet_text
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import pauses, tasks
from pyramid_cron.task_summary import summarize
from pyramid_cron.testing import tick
from tests.support.problems import task_problems
from tests.support.servers import INSTANT, Server
from tests.test_docs import rows


@pytest.mark.parametrize(
    ('failing', 'tolerate', 'excuse'),
    [
        (Failing(1), 0, None),
        (Failing(1), 1, 'tolerated'),
        (Failing(2), 1, None),
        (Failing(1, will_retry=True), 0, 'retrying'),
        (Failing(2, will_retry=True), 1, 'retrying'),
        # the run before it has raised the alarm
        (Failing(2, will_retry=True), 0, None),
        (Failing(3, will_retry=True), 1, None),
        (Failing(9, acknowledged=True), 0, 'acknowledged'),
        (Failing(9, paused=True), 0, 'paused'),
        (Failing(9, acknowledged=True, paused=True), 0, 'paused'),
    ],
)
def test_a_failure_is_an_alarm_or_has_an_excuse(failing, tolerate, excuse):
    assert failing.excuse(tolerate) == excuse


@pytest.mark.parametrize(
    ('failing', 'tolerate', 'excuse'),
    [
        (Failing(1), 0, None),
        (Failing(1), 1, 'tolerated'),
        (Failing(1, will_retry=True), 0, 'retrying'),
        # whatever failed before
        (Failing(3, will_retry=True), 0, 'retrying'),
        (Failing(3, will_retry=True, paused=True), 0, 'retrying'),
        (Failing(3, will_retry=True, acknowledged=True), 0, 'acknowledged'),
        (Failing(3, paused=True), 0, 'paused'),
    ],
)
def test_an_attempt_that_will_be_repeated_is_no_alarm(failing, tolerate, excuse):
    assert failing.excuse_of_attempt(tolerate) == excuse


@pytest.mark.parametrize(
    ('excuse', 'level', 'text'),
    [
        (None, 'ERROR', 'task shop failed after 1.500 s'),
        ('retrying', 'WARNING', 'task shop failed after 1.500 s and will be tried again'),
        ('tolerated', 'WARNING', 'task shop failed after 1.500 s, which is tolerated'),
    ],
)
def test_a_failure_that_is_no_alarm_is_a_warning(caplog, excuse, level, text):
    class Run(MemoryRun):
        def excuse(self, error):
            assert error == 'LookupError'
            return excuse

    run, exc = Run(None, Server.task(application('min=0', name='shop'), 'shop'), None), LookupError()
    report = report_failure(run, exc, 1.5, 'failed after')
    assert (report.outcome, report.exception, report.excuse, report.is_fault) == ('failed', exc, excuse, not excuse)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [(level, text)]
    assert caplog.records[0].exc_info[1] is exc


class WithoutStore:
    """An application without a store, with what a test needs of a server."""

    def __init__(self):
        self.config = Configurator(settings={'cron.timezone': 'UTC'})
        self.config.include('pyramid_cron')
        self.registry = self.config.registry

    def add(self, name, body, **options):
        self.config.add_cron_task(body, name=name, **options)
        return self

    def ready(self):
        self.config.commit()

    def tick(self, minute):
        self.ready()
        return tick(self.registry, INSTANT + minute * MINUTE)


def application(options, name='task', server=None):
    """Add a task with options as the table has them, which does what ``server.next`` holds."""
    server = server or WithoutStore()
    server.next = 'ok'

    def body(system):
        if server.next == 'fails':
            raise LookupError
        if server.next == 'raises ValueError':
            raise ValueError

    return server.add(name, body=body, **eval(f'dict({options})'))


def options_of(row):
    return row[0].strip('`')


def attempts(row):
    """Return of each attempt of a row what happens, the status, and what health shows."""
    return zip(*(re.split(', ?', cell) for cell in row[1:]), strict=True)


SEQUENCES = rows('alarms', 'Failures')


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize('row', SEQUENCES, ids=lambda row: f'{options_of(row)}: {row[1]}')
def test_answers_health_and_events_are_those_of_the_table(servers, row, caplog):
    server = application(options_of(row), server=servers.start())
    events = []
    for interface in (ITaskFinished, ITaskLost, ITaskRecovered):
        server.config.add_subscriber(events.append, interface)
    # so that each minute counts
    server.tick(-1)
    minute, last, began = -1, None, datetime.now(timezone.utc)
    for what, status, health in attempts(row):
        # an attempt that is tried again is, at the next minute; another one at the next minute that is due
        again = servers.row()['retry_reason'] is not None
        minute += 1 if again or what in ('pause', 'resume', 'acknowledge') else next_due(server, minute) - minute
        events.clear()
        caplog.clear()
        server.next = what
        if what == 'lost':
            servers.change(last_minute=INSTANT + minute * MINUTE, attempt=1)
            servers.hold(run_id=f'run at {minute}', process=f'process at {minute}', lease_until=0)
        elif what == 'pause':
            server.store.pause(['task'], reason='it fails')
        elif what == 'acknowledge':
            server.store.acknowledge(['task'], reason='it is known', requested_by='ada')
        elif what == 'resume':
            server.store.resume(['task'])
            # which ends a pause at the present, and these minutes are long before
            servers.execute(delete(pauses))
        if what in ('lost', 'missed'):
            # found by the next tick
            minute += 1
        report = server.tick(minute)
        assert ('500' if report.failed else '200') == status
        assert str(report).startswith('fail: 1 of 1 tasks ' if report.failed else 'ok')
        shown = task_problems(server.registry)
        assert (shown[-1].word if shown else 'ok') == health.partition(' ')[0]
        # the same in health, which is red exactly if the problem is a fault
        is_red = any(problem.is_fault for problem in shown)
        assert Health(INSTANT, timedelta(0), shown).ok is not is_red
        assert is_red is (health in ('failed', 'lost', 'missed'))
        # and in the events and the log
        faults = [event for event in events if getattr(event, 'is_fault', False)]
        assert bool(faults) is report.failed
        assert any(record.levelno >= logging.ERROR for record in caplog.records) is report.failed
        assert any(getattr(event, 'will_retry', False) for event in events) is ('tried again' in str(report))
        recovered = [event for event in events if ITaskRecovered.providedBy(event)]
        assert len(recovered) == health.endswith('(recovered)')
        if recovered:
            assert began <= recovered[0].failed_since <= datetime.now(timezone.utc)
        last = health
    assert last.startswith('ok')
    assert servers.row()['failed_since'] is None


def next_due(server, minute):
    instant = next(server.task().runs(INSTANT + minute * MINUTE))
    return round((instant - INSTANT) / MINUTE)


WITHOUT_STORE = [row for row in SEQUENCES if not re.search('retries|catch_up|lost|pause|acknowledge', ' '.join(row))]


@pytest.mark.parametrize('row', WITHOUT_STORE, ids=lambda row: f'{options_of(row)}: {row[1]}')
def test_without_a_store_they_are_the_same(row, caplog):
    server, events = application(options_of(row)), []
    for interface in (ITaskFinished, ITaskRecovered):
        server.config.add_subscriber(events.append, interface)
    first = None
    for number, (what, status, health) in enumerate(attempts(row)):
        events.clear()
        caplog.clear()
        server.next = what
        report = server.tick(5 * number)
        if what == 'fails' and first is None:
            first = INSTANT + 5 * number * MINUTE
        assert ('500' if report.failed else '200') == status
        assert events[0].is_fault is report.failed
        assert any(record.levelno >= logging.ERROR for record in caplog.records) is report.failed
        recovered = [(event.name, event.failed_since) for event in events[1:]]
        assert recovered == ([('task', first)] if health.endswith('(recovered)') else [])
        if what == 'ok':
            first = None


def test_there_are_sequences_for_both():
    assert (len(SEQUENCES) >= 12, len(WITHOUT_STORE) >= 2) == (True, True)


@pytest.mark.slow
def test_a_recovery_is_one_event_over_eight_processes(servers, url):
    command = [sys.executable, '-m', 'tests.support.recovering', url]
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'text': True, 'cwd': Path(__file__).parent.parent}
    with ExitStack() as stack:
        others = [stack.enter_context(subprocess.Popen(command, **pipes)) for _ in range(8)]
        assert {other.stdout.readline() for other in others} == {'ready\n'}
        for minute in (0, 5, 10):
            for other in others:
                other.stdin.write(f'{minute}\n')
                other.stdin.flush()
            assert {other.stdout.readline() for other in others} == {'ticked\n'}
        seen = ''.join(other.communicate(timeout=60)[0] for other in others)
    assert re.fullmatch(r'task \d{4}-\S+\+00:00\n', seen)
    assert servers.history() == ['failed', 'ok', 'ok']


def test_a_recovery_that_cannot_be_recorded_is_one_of_the_next_success(servers, warnings):
    server, events = application("min='*/5'", server=servers.start()), []
    server.config.add_subscriber(events.append, ITaskRecovered)
    server.next = 'fails'
    server.tick(0)
    server.next = 'ok'
    warnings()
    with server.outage(of=tasks, kind='update', sets='failed_since'):
        server.tick(5)
    assert events == []
    (text,) = [text for text in warnings() if 'well again' in text]
    assert text.startswith('it cannot be recorded that task task is well again: the store is not available')
    server.tick(10)
    assert [event.name for event in events] == ['task']


def test_a_run_by_hand_recovers_a_task_as_well(servers):
    server, events = application("min='*/5'", server=servers.start()), []
    server.config.add_subscriber(events.append, ITaskRecovered)
    server.next = 'fails'
    server.tick(0)
    server.next = 'ok'
    server.tick(1, names=['task'])
    server.tick(2, names=['task'])
    assert [event.name for event in events] == ['task']


@pytest.mark.slow
@pytest.mark.parametrize(('catch_up', 'fails', 'runs'), [(0, False, 5), (300, True, 1), (300, False, None)])
def test_each_missed_minute_counts_unless_a_run_catches_up(servers, catch_up, fails, runs):
    server = application(f"min='*/5', catch_up={catch_up}", server=servers.start())
    server.tick(0)
    server.next = 'fails' if fails else 'ok'
    # due at 5, 10, 15, 20 and 25
    server.tick(26)
    assert servers.row()['failed_runs'] == runs


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize(('outcome', 'alarm', 'runs'), [('ok', False, 0), ('fails', True, 1)])
def test_a_lost_run_that_is_repeated_is_no_alarm_until_it_fails(servers, warnings, outcome, alarm, runs):
    server, events = application("min='*/5'", server=servers.start()), []
    for interface in (ITaskLost, ITaskRecovered):
        server.config.add_subscriber(events.append, interface)
    server.tick(-1)
    servers.change(last_minute=INSTANT, attempt=1)
    servers.hold(lease_until=0)
    servers.change(transactional=True)
    server.next = outcome
    report = server.tick(1)
    assert report.failed is alarm
    (lost,) = events
    assert (lost.will_retry, lost.is_fault) == (True, False)
    assert servers.history('outcome', 'attempt') == [('lost', 1), ('failed' if alarm else 'ok', 2)]
    # the attempts of a run count once
    assert servers.row()['failed_runs'] == runs
    assert [problem.word for problem in task_problems(server.registry)] == ['failed'] * alarm


def counted(server):
    """Return the failures in a row that the metrics, the JSON of ``pcron list``, and health and the page show."""
    state, [task] = server.store.states()['task'], server.registry['cron_tasks']
    _, metrics = expose(server.store.snapshot(), [task], 60, INSTANT)
    families = {family.name: family.samples for family in text_string_to_metric_families(metrics.decode())}
    [sample] = families['pyramid_cron_task_failures_in_a_row']
    last = summarize(task, INSTANT, 0, state).as_dict(explained=False)['last']
    problems = [problem.runs for problem in task_problems(server.registry)]
    return [int(sample.value), last['failures_in_a_row'], *(problems or [0])]


@pytest.mark.slow
@pytest.mark.each_database
def test_failures_in_a_row_are_runs_everywhere(servers):
    server = application('min=(0, 10, 20, 30), retries=2, catch_up=0', server=servers.start())
    server.tick(-1)
    server.next = 'fails'
    mails = []
    for minute, runs in ((0, 1), (1, 1), (2, 1), (10, 2), (11, 2), (12, 2)):
        report = server.tick(minute)
        assert (report.tasks[0].failures.number, counted(server)) == (runs, [runs] * 3)
        mails.append(quiet_text(report))
    # not of an attempt that will be repeated
    assert [re.search('in a row: .,', mail or 'in a row: 0,').group() for mail in mails] == [
        f'in a row: {number},' for number in (0, 0, 1, 0, 0, 2)
    ]
    # a missed minute is one, as for tolerate=
    server.tick(21)
    assert counted(server) == [3] * 3
    assert server.tick(30).tasks[0].failures.number == 4
    server.next = 'ok'
    assert str(server.tick(31)) == 'ok'
    assert counted(server) == [0] * 3


@pytest.mark.slow
def test_a_backfill_that_fails_counts_as_its_row_does(servers):
    server = application("min='*/5'", server=servers.start())
    server.next = 'fails'
    for minute in (0, 5):
        server.tick(minute)
    for minute in (5, 0):
        # a run of that minute has failed already, or the last failure stays
        assert server.backfill(minute).failures.number == 2
        assert counted(server) == [2] * 3
    server.next = 'ok'
    server.tick(10)
    server.next = 'fails'
    assert server.backfill(0).failures.number == 1
    assert counted(server) == [1] * 3


@pytest.mark.each_database
@pytest.mark.parametrize(
    ('options', 'ticks'), [({}, (0, 5)), ({'min': '*'}, (0, 1)), ({'min': 0, 'catch_up': 0}, (0, 1))]
)
def test_a_lost_run_is_an_alarm_if_its_repetition_is_dropped(servers, caplog, options, ticks):
    server, events, problems = servers.start(), [], []
    server.add(body=lambda system: problems.extend(task_problems(server.registry)), **options)
    for interface in (ITaskLost, ITaskRecovered):
        server.config.add_subscriber(events.append, interface)
    server.tick(-1)
    begun, found = ticks
    servers.change(last_minute=INSTANT + begun * MINUTE, attempt=1)
    servers.hold(lease_until=0)
    servers.change(transactional=True)
    report = server.tick(found)
    is_due = server.task().check(INSTANT + found * MINUTE)
    assert [(task.outcome, task.is_fault) for task in report.tasks] == [('lost', True), ('ok', False)][: 1 + is_due]
    assert report.failed
    assert (events[0].will_retry, events[0].is_fault) == (False, True)
    assert any(
        record.levelno == logging.ERROR
        and record.getMessage().endswith('nothing of it was committed, and it is not repeated')
        for record in caplog.records
    )
    # health is red until the next success
    problems = problems or task_problems(server.registry)
    assert [(problem.word, problem.is_fault) for problem in problems] == [('lost', True)]
    server.tick(60)
    assert [type(event).__name__ for event in events] == ['TaskLost', 'TaskRecovered']
    assert task_problems(server.registry) == []


@pytest.mark.parametrize(('outcome', 'alarm'), [('ok', False), ('fails', True)])
def test_the_newer_minute_decides_for_a_dropped_retry(servers, outcome, alarm):
    server = application("min='*/5', retries=1", server=servers.start())
    server.next = 'fails'
    server.tick(0)
    server.next = outcome
    # no tick came for the retry
    assert not server.tick(5).failed
    assert [problem.word for problem in task_problems(server.registry)] == ['failed'] * alarm


@pytest.mark.parametrize('tolerate', [-1, 1.0, '2', None, True])
def test_tolerated_failures_are_a_number(tolerate):
    with pytest.raises(
        ValueError, match=re.escape(f'tolerate={tolerate!r} is not a number of runs in a row that may fail, 0 or more')
    ):
        parse_tolerate(tolerate)
