"""What happens to the store when what it stands on fails: real processes, real databases."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

APPS = Path(__file__).parent / 'apps'


class Ticker:
    """A process of apps/durable.py."""

    def __init__(self, folder, options, *arguments):
        with (folder / 'log').open('ab') as log:
            self._process = subprocess.Popen(
                [sys.executable, APPS / 'durable.py', json.dumps(options), *map(str, arguments)],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def tick(self, minute):
        """Tick a minute and return what became of its tasks."""
        self.begin(minute)
        return self.answer()

    def begin(self, minute):
        self._process.stdin.write(f'{minute}\n')
        self._process.stdin.flush()

    def answer(self):
        answer = json.loads(self._process.stdout.readline())
        print(self._process.pid, answer)
        return answer

    def answers(self):
        """Return all answers until the process ends."""
        answers = list(map(json.loads, self._process.stdout))
        assert self._process.wait() == 0
        return answers

    def send(self, number):
        os.kill(self._process.pid, number)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def is_frozen(self):
        return Path(f'/proc/{self._process.pid}/stat').read_text().rpartition(')')[2].split()[0] == 'T'

    def end(self):
        self._process.kill()
        self._process.communicate()


class Store:
    """A database, and processes that tick over it."""

    def __init__(self, url, folder):
        self.url = url
        self.folder = folder
        self._engine = create_engine(url)
        self._tickers = []

    def ticker(self, *arguments, tasks, **options):
        self._tickers.append(Ticker(self.folder, self.options(tasks, **options), *arguments))
        return self._tickers[-1]

    def options(self, tasks, **options):
        return {'store': self.url, 'tasks': tasks, **options}

    def query(self, query):
        with self._engine.connect() as connection:
            result = connection.execute(text(query))
            rows = list(map(tuple, result)) if result.returns_rows else []
            connection.commit()
            return rows

    @property
    def effects(self):
        return self.query('SELECT task, minute FROM effects ORDER BY minute, id')

    @property
    def outcomes(self):
        return [
            outcome
            for (outcome,) in self.query('SELECT outcome FROM cron_runs ORDER BY scheduled_for, started, attempt')
        ]

    def end(self):
        for ticker in self._tickers:
            ticker.end()
        self._engine.dispose()
        log = self.folder / 'log'
        print(log.read_text() if log.exists() else '')


@pytest.fixture
def open_store(tmp_path, monkeypatch):
    """Return a function that makes the tables of apps/durable.py, but not those of the store."""
    monkeypatch.syspath_prepend(APPS)
    from durable import Base

    stores = []

    def open_it(url):
        store = Store(url, tmp_path)
        stores.append(store)
        Base.metadata.create_all(store._engine)
        store._engine.dispose()
        return store

    yield open_it
    for store in stores:
        store.end()


@pytest.fixture
def on_sqlite(open_store, tmp_path):
    return open_store(f'sqlite:///{tmp_path / "store"}')


@pytest.fixture
def on_postgresql(open_store, postgresql):
    return open_store(postgresql)


@pytest.fixture(params=['on_sqlite', 'on_postgresql'])
def store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def waiting(until, tmp_path):
    """Wait until a task waits."""
    return lambda: until((tmp_path / 'waiting').exists, 'a task waits')


@pytest.fixture
def go(tmp_path):
    """End the waiting of tasks."""
    return (tmp_path / 'go').touch


@pytest.fixture
def own_server(start_postgresql):
    """A server of PostgreSQL that may be killed."""
    # what was committed outlives the server, though not the machine
    server = start_postgresql(synchronous_commit='on')
    yield server
    # it is stopped with the others
    if not (server.folder / 'data' / 'postmaster.pid').exists():
        server.start()


def test_a_database_that_was_killed_between_ticks_is_made_up_for(own_server, open_store, until):
    with own_server.database() as url:
        store = open_store(url)
        ticker = store.ticker(tasks={'writes': '*/5 * * * *', 'forgets': '* * * * *'})
        assert ticker.tick(0)['tasks'] == {'writes': 'ok', 'forgets': 'ok'}
        own_server.kill()
        answer = ticker.tick(5)
        assert answer['problem'].startswith('the store is not available: ')
        assert answer['tasks'] == {'forgets': 'ok'}
        own_server.start_again()
        assert ticker.tick(6)['tasks'] == {'writes': 'ok', 'forgets': 'ok'}
        assert store.effects == [('writes', 0), ('writes', 5)]


def test_the_end_of_a_run_is_written_again_once_the_database_is_back(own_server, open_store, until, waiting, go):
    with own_server.database() as url:
        store = open_store(url)
        ticker = store.ticker(tasks={'writes': '0 * * * *', 'only_waits': '5 * * * *'})
        # a process looks at the session at its first run
        ticker.tick(0)
        ticker.begin(5)
        waiting()
        own_server.kill()
        own_server.start_again()
        go()
        assert ticker.answer()['tasks'] == {'only_waits': 'ok'}
        assert store.outcomes == ['ok', 'ok']


def test_what_a_killed_database_has_rolled_back_has_failed(own_server, open_store, until, waiting, go):
    with own_server.database() as url:
        store = open_store(url)
        ticker = store.ticker(tasks={'writes_and_waits': '*/5 * * * *'})
        ticker.begin(0)
        waiting()
        own_server.kill()
        own_server.start_again()
        go()
        assert ticker.answer()['tasks'] == {'writes_and_waits': 'failed'}
        assert (store.effects, store.outcomes) == ([], ['failed'])


def test_an_end_that_is_too_long_in_coming_is_written_by_a_later_tick(own_server, open_store, until, waiting, go):
    with own_server.database() as url:
        store = open_store(url)
        ticker = store.ticker(tasks={'writes': '0 * * * *', 'only_waits': '5 * * * *'})
        ticker.tick(0)
        ticker.begin(5)
        waiting()
        own_server.kill()
        go()
        # after some seconds
        assert ticker.answer()['tasks'] == {'only_waits': 'ok'}
        own_server.start_again()
        assert ticker.tick(6)['tasks'] == {}
        assert store.outcomes == ['ok', 'ok']


def test_a_process_that_was_frozen_over_its_lease_cannot_commit(store, waiting, go):
    tasks, short = {'waits': '*/5 * * * *'}, {'cron.lease': '4'}
    frozen, other = store.ticker(tasks=tasks, cron=short), store.ticker(tasks=tasks, cron=short)
    frozen.begin(0)
    waiting()
    frozen.send(signal.SIGSTOP)
    go()
    # its lease is not over
    assert other.tick(1)['tasks'] == {}
    time.sleep(4.1)
    assert other.tick(2)['tasks'] == {'waits': 'ok'}
    frozen.send(signal.SIGCONT)
    answer = frozen.answer()
    assert answer['tasks'] == {'waits': 'failed'}
    assert answer['errors']['waits'].startswith('Fenced')
    assert store.effects == [('waits', 0)]
    assert store.outcomes == ['lost', 'ok']


def test_a_task_that_keeps_the_gil_over_its_lease_is_not_taken_over(store, waiting, tmp_path):
    tasks, short = {'keeps_the_gil': '*/5 * * * *'}, {'cron.lease': '1'}
    busy, other = store.ticker(tasks=tasks, cron=short), store.ticker(tasks=tasks, cron=short)
    busy.begin(0)
    waiting()
    time.sleep(1.1)
    assert other.tick(5)['tasks'] == {'keeps_the_gil': 'skipped'}
    (tmp_path / 'go').open('w').close()
    assert busy.answer()['tasks'] == {'keeps_the_gil': 'ok'}
    assert store.effects == [('keeps_the_gil', 0)]
    assert store.outcomes == ['ok', 'skipped']


def test_a_process_frozen_in_its_claim_blocks_no_other(on_postgresql, until):
    """Its claim is one statement, which the database commits: no other process waits for its locks."""
    store, tasks = on_postgresql, {'writes': '*/5 * * * *', 'writes too': '*/5 * * * *'}
    other = store.ticker(tasks=tasks)
    # the tables, and nothing that is due
    other.tick(4)
    frozen = store.ticker(tasks=tasks, freeze=True)
    frozen.begin(5)
    until(frozen.is_frozen, 'the process is frozen')
    answer = other.tick(5)
    assert answer['tasks'] == {'writes': 'skipped', 'writes too': 'ok'}
    assert answer['milliseconds'] < 1000
    frozen.send(signal.SIGCONT)
    assert frozen.answer()['tasks'] == {'writes': 'ok', 'writes too': 'skipped'}
    assert Counter(store.effects) == {('writes', 5): 2}
    assert store.outcomes == ['ok', 'ok']


def test_a_process_that_is_frozen_in_its_claim_blocks_sqlite_until_the_busy_timeout(on_sqlite, until):
    store, tasks = on_sqlite, {'writes': '*/5 * * * *', 'forgets': '* * * * *'}
    other = store.ticker(tasks=tasks)
    other.tick(4)
    frozen = store.ticker(tasks=tasks, freeze=True)
    frozen.begin(5)
    until(frozen.is_frozen, 'the process is frozen')
    answer = other.tick(5)
    assert 'database is locked' in answer['problem']
    assert answer['tasks'] == {'forgets': 'ok'}
    assert 3000 < answer['milliseconds'] < 6000
    frozen.kill()
    assert other.tick(6)['tasks'] == {'writes': 'ok', 'forgets': 'ok'}
    assert store.effects == [('writes', 5)]


def test_an_open_write_transaction_of_a_task_blocks_sqlite_until_the_busy_timeout(on_sqlite, waiting, go):
    store, tasks = on_sqlite, {'writes_and_waits': '*/5 * * * *', 'writes': '1-59/5 * * * *'}
    writer, other = store.ticker(tasks=tasks), store.ticker(tasks=tasks)
    writer.begin(0)
    waiting()
    answer = other.tick(1)
    assert 'database is locked' in answer['problem']
    assert 3000 < answer['milliseconds'] < 6000
    go()
    assert writer.answer()['tasks'] == {'writes_and_waits': 'ok'}
    assert other.tick(2)['tasks'] == {'writes': 'ok'}
    assert store.effects == [('writes_and_waits', 0), ('writes', 1)]


@pytest.mark.parametrize('processes', [2, 8])
def test_processes_may_make_the_tables_at_once(store, processes):
    answers = store.ticker(processes, tasks={'writes': '* * * * *'}).answers()
    assert [answer['problem'] for answer in answers] == [None] * processes
    assert Counter(answer['tasks'].get('writes') for answer in answers)['ok'] == 1
    assert store.effects == [('writes', 0)]


@pytest.mark.parametrize('isolation', ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])
def test_an_application_may_isolate_its_transactions_more(on_postgresql, isolation):
    store = on_postgresql
    tasks = {f'writes {number}': '* * * * *' for number in range(3)}
    answers = store.ticker(3, 20, tasks=tasks, engine={'isolation_level': isolation}).answers()
    errors = Counter(error[:60] for answer in answers for error in answer['errors'].values())
    print(isolation, errors)
    # PostgreSQL aborts a transaction that would see what it must not; then nothing of it is kept
    assert all('SerializationFailure' in error for error in errors)
    assert isolation == 'SERIALIZABLE' or not errors
    assert len(store.effects) == store.outcomes.count('ok')
    by_task = store.query("SELECT task, scheduled_for FROM cron_runs WHERE outcome = 'ok'")
    assert len(by_task) == len(set(by_task))
    assert 'running' not in store.outcomes


def test_a_run_that_could_not_be_serialized_has_failed_and_may_be_retried(on_postgresql, waiting, go):
    store, options = on_postgresql, {'engine': {'isolation_level': 'SERIALIZABLE'}}
    tasks = {'writes_and_waits again': '5 * * * *', 'writes': '1,6 * * * *'}
    ticker, other = store.ticker(tasks=tasks, **options), store.ticker(tasks=tasks, **options)
    other.tick(1)
    # PostgreSQL then reads all of a small table, and so each run depends on the others that end meanwhile
    store.query('ANALYZE')
    ticker.begin(5)
    waiting()
    assert other.tick(6)['tasks'] == {'writes': 'ok'}
    go()
    assert 'SerializationFailure' in ticker.answer()['errors']['writes_and_waits again']
    assert other.tick(7)['tasks'] == {'writes_and_waits again': 'ok'}
    assert store.effects == [('writes', 1), ('writes_and_waits', 5), ('writes', 6)]
    assert Counter(store.outcomes) == {'ok': 3, 'failed': 1}


def test_the_store_may_be_an_engine_with_one_connection(on_postgresql, waiting, go):
    store, tasks = on_postgresql, {'writes_and_waits': '*/5 * * * *'}
    options = {'share': True, 'engine': {'pool_size': 1, 'max_overflow': 0}, 'cron': {'cron.lease': '1'}}
    ticker, other = store.ticker(tasks=tasks, **options), store.ticker(tasks=tasks)
    ticker.begin(0)
    waiting()
    # over the lease, while the task has the application's only connection
    time.sleep(1.5)
    assert other.tick(1)['tasks'] == {}
    go()
    assert ticker.answer()['tasks'] == {'writes_and_waits': 'ok'}
    assert store.outcomes == ['ok']


def test_a_session_on_another_database_fails_the_first_run(on_postgresql, postgresql_server):
    from durable import Base

    with postgresql_server.database() as url:
        other = create_engine(url)
        Base.metadata.create_all(other)
        other.dispose()
        ticker = on_postgresql.ticker(tasks={'writes': '* * * * *'}, session=url)
        answer = ticker.tick(0)
        assert answer['tasks'] == {'writes': 'failed'}
        assert 'cron.session = dbsession' in answer['errors']['writes']
        assert 'it has to be that of cron.store' in answer['errors']['writes']
    assert on_postgresql.effects == []


def test_a_task_that_has_committed_by_itself_is_not_repeated(store, waiting):
    tasks = {'commits_and_waits': '*/5 * * * *'}
    killed, other = store.ticker(tasks=tasks), store.ticker(tasks=tasks)
    killed.begin(0)
    waiting()
    killed.kill()
    assert other.tick(1)['tasks'] == {'commits_and_waits': 'lost'}
    assert other.tick(2)['tasks'] == {}
    assert store.effects == [('commits_and_waits', 0)]
    assert store.outcomes == ['lost']


def test_a_doomed_run_is_over_and_has_no_effect(store):
    ticker = store.ticker(tasks={'dooms': '* * * * *'})
    assert ticker.tick(0)['tasks'] == {'dooms': 'ok'}
    assert ticker.tick(1)['tasks'] == {'dooms': 'ok'}
    assert (store.effects, store.outcomes) == ([], ['ok', 'ok'])


def test_a_run_that_cannot_commit_has_failed(on_postgresql):
    ticker = on_postgresql.ticker(tasks={'fails_at_commit': '*/5 * * * *'})
    assert ticker.tick(0)['tasks'] == {'fails_at_commit': 'failed'}
    assert (on_postgresql.effects, on_postgresql.outcomes) == ([], ['failed'])
    assert ticker.tick(1)['tasks'] == {}


def test_a_task_that_forks_has_one_effect_and_one_end(store):
    ticker = store.ticker(tasks={'forks': '* * * * *'})
    assert ticker.tick(0)['tasks'] == {'forks': 'ok'}
    assert ticker.tick(1)['tasks'] == {'forks': 'ok'}
    assert store.effects == [('forks', 0), ('forks', 1)]
    assert store.outcomes == ['ok', 'ok']


def test_tasks_that_a_deploy_renames_or_moves_owe_nothing_from_before(store, waiting, go):
    old = store.ticker(tasks={'waits old': '*/5 * * * *', 'writes': '*/10 * * * *'})
    old.begin(0)
    waiting()
    old.kill()
    go()
    new = store.ticker(tasks={'waits new': '*/5 * * * *', 'writes': '*/3 * * * *'})
    # 3 is a minute of the new schedule alone; 0 was never begun
    answer = new.tick(4)
    assert answer['tasks'] == {'writes': 'ok'}
    assert new.tick(5)['tasks'] == {'waits new': 'ok'}
    assert store.effects == [('writes', 0), ('waits', 5)]
    assert Counter(store.outcomes) == {'lost': 1, 'ok': 2}


# each is stored, and due at each minute
FIVE = {f'writes {number}': '* * * * *' for number in range(5)}


def assert_waited_once(answer):
    """Check that a tick with the tasks of FIVE ran none of them, and had one wait."""
    assert set(answer['tasks'].values()) <= {'failed'}
    assert answer['problem'] or len(answer['tasks']) == 5
    assert 2000 < answer['milliseconds'] < 8000


@contextlib.contextmanager
def frozen(*pids):
    """Freeze processes in the ``with``."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize('first', [False, True], ids=['open connections', 'first use'])
def test_a_frozen_postgresql_is_waited_for_once(own_server, open_store, first):
    with own_server.database() as url:
        store = open_store(url)
        ticker = store.ticker(tasks=FIVE)
        assert ticker.tick(0)['problem'] is None
        if first:
            ticker = store.ticker(tasks=FIVE)
        with frozen(*own_server.pids()):
            for minute in (1, 2):
                assert_waited_once(ticker.tick(minute))
        assert set(ticker.tick(3)['tasks'].values()) == {'ok'}


def test_a_locked_history_is_waited_for_once(on_postgresql):
    ticker = on_postgresql.ticker(tasks=FIVE)
    ticker.tick(0)
    with on_postgresql._engine.begin() as connection:
        connection.execute(text('LOCK TABLE cron_runs'))
        answer = ticker.tick(1)
    assert_waited_once(answer)
    assert 'timeout' in answer['errors']['writes 0']
    assert set(ticker.tick(2)['tasks'].values()) == {'ok'}


def test_a_frozen_mariadb_is_waited_for_once(mariadb_server, mariadb, open_store):
    store = open_store(mariadb)
    ticker = store.ticker(tasks=FIVE)
    assert ticker.tick(0)['problem'] is None
    with frozen(mariadb_server.pid):
        for minute in (1, 2):
            assert_waited_once(ticker.tick(minute))
    assert set(ticker.tick(3)['tasks'].values()) == {'ok'}


@pytest.fixture
def served(start, program, free_port):
    """Serve apps/durable.py with gunicorn and return where."""

    def serve(store, *arguments, **options):
        port = free_port()
        made = f'durable:make({json.dumps(store.options(**options))!r})'
        start(program('gunicorn'), made, '--bind', f'127.0.0.1:{port}', *arguments, listen=('127.0.0.1', port))
        return f'http://127.0.0.1:{port}'

    return serve


def test_workers_that_gunicorn_forks_after_a_tick_share_no_connection(store, served):
    # the first process has ticked minute 0 and has a connection open
    url = served(store, '--preload', '--workers', '3', tasks={'writes': '* * * * *'}, tick=True)

    def tick(minute):
        with urllib.request.urlopen(f'{url}/tick/{minute}') as response:
            return json.load(response)

    with ThreadPoolExecutor(3) as pool:
        answers = [answer for minute in range(1, 21) for answer in pool.map(tick, [minute] * 3)]
    assert [answer['problem'] for answer in answers] == [None] * 60
    assert store.effects == [('writes', minute) for minute in range(21)]
    assert len(store.query('SELECT DISTINCT pid FROM effects')) > 2


def test_a_worker_that_a_task_ends_leaves_the_run_to_the_next(store, served, curl):
    url = served(store, tasks={'exits_once': '* * * * *'})
    assert curl(f'{url}/cron').status != 200
    assert curl(f'{url}/cron', '--retry', '5', '--retry-connrefused').status == 200
    assert len(store.effects) == 1
    assert Counter(store.outcomes) == {'lost': 1, 'ok': 1}


def test_the_trigger_answers_500_while_the_database_is_away(own_server, open_store, served, curl, until):
    with own_server.database() as url:
        trigger = f'{served(open_store(url), tasks={"writes": "* * * * *"})}/cron'
        assert curl(trigger).status == 200
        own_server.kill()
        answer = curl(trigger)
        assert answer.status == 500
        assert answer.body.startswith('fail: the store is not available: ')
        own_server.start_again()
        assert curl(trigger).status == 200
