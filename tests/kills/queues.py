"""Whether runs that are handed over keep the promises of the store: ``python -m tests.kills.queues --help``.

Four processes tick a simulated clock and hand over, and two workers of the engine run the tasks. All of them are killed
with SIGKILL at random, and replaced, some after they were frozen for a while, and a tenth of the messages is lost. In
the middle there is no broker for a while: no Redis, or with procrastinate no PostgreSQL, which is killed. At the end
what the tasks did is compared with what the store says that they did.
"""

import argparse
import asyncio
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from sqlalchemy import create_engine, make_url, select
from sqlalchemy.sql.functions import count

from pyramid_cron.orders import run_through
from pyramid_cron.schedules.clock import MINUTE, minute_of
from pyramid_cron.store.options import Options
from pyramid_cron.store.requested_runs import RequestedRuns
from pyramid_cron.store.schema import runs, tasks
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_conditions import THIS_TASK
from tests.support.databases import postgresql_server
from tests.support.redis import Redis

from .application import LEASE, Base, make_app
from .checks import compare, is_busy, is_quiet
from .losses import Messages, lose_jobs, sent_once
from .own_process import Process
from .processes import begin

# seconds that a simulated minute takes, for which a run waits for a worker, and for which there is no broker
STEP, PATIENCE, OUTAGE = 0.3, 12.0, 2.0
WEB, WORKERS = 4, 2
# seconds that a process lives at most, and how many are frozen for some leases before they are killed or go on
LIFE, FROZEN = 4.0, 0.3
# a run that waits long in the real time of the harness has waited for a moment of the simulated one
TEN_YEARS = str(10 * 365 * 86400)
MOST_TICKS = 200


def celery_app(broker, messages=None):
    """Return an application of Celery.

    :param messages: a :class:`.Messages`, by which some messages are sent twice and others are lost.
    """
    import celery

    class Twice(celery.Celery):
        def send_task(self, *arguments, **options):
            for _ in range(messages.chance.choice([1, 1, 1, 2])):
                if not messages.is_lost(options['args'][0]):
                    super().send_task(*arguments, **options)

    app = Twice('kills', broker=broker, set_as_current=False)
    app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
    return app


class Celery:
    """Celery with a real Redis."""

    def __init__(self):
        # in the process that all are forked from, or else they would be killed before they have imported it
        for module in ('celery.apps.worker', 'celery.bin.worker', 'kombu.transport.redis', 'celery.concurrency.solo'):
            importlib.import_module(module)
        self._redis = Redis()

    def settings(self, messages):
        return {'via': 'celery', 'celery': celery_app(self._redis.url, messages)}

    def work(self, url, load):
        from pyramid_cron.queues.celery import add_perform

        app = celery_app(self._redis.url)
        add_perform(app, load)
        # one process, which takes one message at a time
        app.worker_main(
            [
                '--quiet',
                'worker',
                '--pool=solo',
                '--loglevel=ERROR',
                '--without-gossip',
                '--without-mingle',
                '--without-heartbeat',
            ]
        )

    @contextmanager
    def outage(self, server):
        self._redis.stop()
        yield
        self._redis.start()

    def prepare(self, url):
        pass

    def end(self):
        self._redis.remove()


class Procrastinate:
    """procrastinate, whose broker is the database itself."""

    def settings(self, messages):
        lose_jobs(messages)
        return {'via': 'procrastinate'}

    def work(self, url, load):
        import procrastinate

        from pyramid_cron.queues.procrastinate import add_perform

        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo(url)))
        add_perform(app, load)

        async def run():
            async with app.open_async():
                await app.run_worker_async(install_signal_handlers=False, fetch_job_polling_interval=0.2)

        asyncio.run(run())

    @contextmanager
    def outage(self, server):
        # the store's too
        server.kill()
        yield
        server.start_again()

    def prepare(self, url):
        import procrastinate

        with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=conninfo(url))).open() as app:
            app.schema_manager.apply_schema()

    def end(self):
        pass


ENGINES = {'celery': Celery, 'procrastinate': Procrastinate, 'process': Process}


def conninfo(url):
    url = make_url(url)
    return f'host={url.query["host"]} user={url.username} dbname={url.database}'


class Killed:
    """Processes that are killed at random, and replaced.

    :param chance: a random.Random.
    :param kinds: how many of each kind there are, and what each does until it is killed.
    :param life: the seconds that each lives at most.
    :param own: kills the processes of runs that have processes of their own, ``None`` if workers run them.
    """

    def __init__(self, chance, log, kinds, life, own=None):
        self._chance, self._log, self._kinds, self._life, self._own = chance, log, kinds, life, own
        self._living, self._frozen = {}, set()
        self.kills, self.frozen = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
        self.crashed = 0

    def step(self, lethal=True):
        """Begin the processes that are missing, and freeze, thaw and kill those whose time has come."""
        now = time.monotonic()
        if self._own is not None:
            self._own.step(self._chance, lethal)
            self.kills['process'] = self._own.kills
        for kind, (number, body) in self._kinds.items():
            for slot in range(number):
                if (kind, slot) not in self._living:
                    self._living[kind, slot] = self._begin(body), now + self._chance.uniform(0.3, self._life)
        for (kind, slot), (pid, until) in list(self._living.items()):
            if pid in self._frozen and (not lethal or now > until):
                self._frozen.remove(pid)
                if lethal and self._chance.random() < 0.5:
                    self._kill(kind, slot)
                else:
                    os.kill(pid, signal.SIGCONT)
                    self._living[kind, slot] = pid, now + self._chance.uniform(0, self._life)
            elif lethal and now > until and self._chance.random() < FROZEN:
                os.kill(pid, signal.SIGSTOP)
                self._frozen.add(pid)
                self.frozen[kind] += 1
                self._living[kind, slot] = pid, now + self._chance.uniform(LEASE, 3 * LEASE)
            elif lethal and now > until:
                self._kill(kind, slot)
            elif os.waitpid(pid, os.WNOHANG)[0]:
                self.crashed += 1
                del self._living[kind, slot]

    def _kill(self, kind, slot):
        pid, _ = self._living.pop((kind, slot))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.kills[kind] += 1

    def _begin(self, body):
        seed = self._chance.random()
        return begin(lambda: body(seed), self._log)

    def end(self, kind):
        """Kill those of a kind, which does not count."""
        for key in [key for key in self._living if key[0] == kind]:
            pid, _ = self._living.pop(key)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        del self._kinds[kind]


def kill(engine, server, url, folder, kills, minutes, chance, life, step, patience, outage):
    """Kill so many processes of each kind, take the broker away for a while in the middle, and return figures."""
    own = engine if isinstance(engine, Process) else None
    if own is not None:
        step, patience = own.minute_seconds, own.patience
    Options.queue_timeout = lambda options, task: timedelta(seconds=patience)
    first, start = minute_of(datetime.now(timezone.utc)) - timedelta(minutes=20000), time.time()
    messages = Messages(folder)
    options = {'catch_up': TEN_YEARS, 'keep_history': '300', **engine.settings(messages)}

    def simulated():
        return first + timedelta(minutes=int((time.time() - start) / step))

    def tick(seed):
        app, registry = make_app(url, folder, True, seed, **options)
        last = None
        while True:
            if last != simulated():
                last = simulated()
                run_through(app, registry, last)
            # the simulated clock follows the real one, by which workers and brokers go
            time.sleep(0.01)

    def work(seed):
        engine.work(url, lambda: make_app(url, folder, True, seed, **options)[0])

    kinds = {'web': (WEB, tick)} | ({'worker': (WORKERS, work)} if own is None else {})
    killed = Killed(chance, folder / 'log', kinds, life, own)
    was_away = False
    try:
        while min(killed.kills.values()) < kills or (simulated() - first) / MINUTE < minutes:
            killed.step()
            # the processes are real, and so is the time in which they get on
            time.sleep(0.01)
            if not was_away and min(killed.kills.values()) >= kills / 2:
                was_away = True
                with engine.outage(server):
                    # so long that some minutes pass, and processes that begin find nothing
                    until = time.monotonic() + outage
                    while time.monotonic() < until:
                        killed.step()
                        time.sleep(0.01)
        print(f'settling: {killed.kills}', file=sys.stderr)
        killed.end('web')
        killed.step(lethal=False)
        messages.loses = False
        last, registry = settle(url, folder, options, simulated() + MINUTE, killed, patience)
    finally:
        for kind in list(killed._kinds):
            killed.end(kind)
    figures = compare(url, registry, last, folder / 'overlaps', True)
    of_messages = messages.figures(url)
    figures['wrong'] |= of_messages.pop('wrong')
    return {
        'seconds': round(time.time() - start, 1),
        'simulated minutes': (last - first) // MINUTE,
        'killed': killed.kills,
        'ended by themselves': killed.crashed,
        'frozen': killed.frozen | ({} if own is None else {'process': own.frozen}),
        **({} if own is None else {'processes of runs': own.seen}),
        'missed': missed(url),
        **of_messages,
        **figures,
    }


def settle(url, folder, options, minute, killed, patience):
    """Tick until everything has come to an end, while workers live, and return the last minute."""
    app, registry = make_app(url, folder, True, **options)
    begun = None
    for _ in range(MOST_TICKS):
        run_through(app, registry, minute)
        ticked = time.monotonic()
        deadline = ticked + patience + 1
        while is_busy(url) and time.monotonic() < deadline:
            killed.step(lethal=False)
            # what workers still do shows in the database alone
            time.sleep(0.05)
            if time.monotonic() > ticked + patience / 8:
                # what is lost is sent again by a tick, and no other minute is due at this one
                run_through(app, registry, minute)
                ticked = time.monotonic()
        if is_quiet(url, minute):
            break
        print(f'not quiet at {minute}', file=sys.stderr)
        before, begun = begun, number_of_runs(url)
        # what waits for a process, or is owed, comes to its turn at further ticks of this minute
        if begun == before:
            minute += MINUTE
    return minute, registry


def number_of_runs(url):
    """Return how many runs were begun."""
    engine = create_engine(url)
    with engine.connect() as connection:
        number = connection.scalar(select(count()).select_from(runs).where(runs.c.attempt > 0))
    engine.dispose()
    return number


def missed(url):
    """Return how many minutes were missed, by the reason."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = Counter(connection.scalars(select(runs.c.reason).where(runs.c.outcome == 'missed')))
    engine.dispose()
    return {str(reason): number for reason, number in found.items()}


def unguarded():
    """Begin whatever is delivered: the control."""

    def delivered(requested, task, delivery, instant):
        return requested._make_run(task, delivery.minute, enqueued_id='any')

    def claim_enqueued(claims, task, enqueued_id, **values):
        claims._row.change(tasks.c.task == THIS_TASK, {THIS_TASK.key: task}, handed_over_for=None, **values)
        return True

    RequestedRuns.delivered, TaskClaims.claim_enqueued = delivered, claim_enqueued


@contextmanager
def postgresql(folder):
    with postgresql_server(synchronous_commit='on') as server, server.database() as url:
        yield server, url


@contextmanager
def sqlite(folder):
    yield None, f'sqlite:///{folder}/store.sqlite'


DATABASES = {'postgresql': postgresql, 'sqlite': sqlite}

CONTROLS = {'unguarded': unguarded, 'sent-once': sent_once}


def main():
    parser = argparse.ArgumentParser(prog='python -m tests.kills.queues', description=__doc__)
    parser.add_argument('--engine', choices=ENGINES, default='procrastinate')
    parser.add_argument('--kills', type=int, default=200, help='of processes that tick, and of workers (default: 200)')
    parser.add_argument('--minutes', type=int, default=300, help='to simulate at least (default: 300)')
    parser.add_argument(
        '--step',
        type=float,
        default=STEP,
        help=f'seconds that a simulated minute takes; a slow machine needs longer ones (default: {STEP})',
    )
    parser.add_argument(
        '--patience',
        type=float,
        default=PATIENCE,
        help='seconds for which a run waits for a worker, in which a slow machine has to come to some ticks '
        f'(default: {PATIENCE})',
    )
    parser.add_argument(
        '--life',
        type=float,
        default=LIFE,
        help=f'seconds that a process lives at most; on a slow machine it needs more to begin (default: {LIFE})',
    )
    parser.add_argument(
        '--outage',
        type=float,
        default=OUTAGE,
        help=f'seconds for which there is no broker; runs need as much more patience (default: {OUTAGE})',
    )
    parser.add_argument('--seed', type=int, default=0, help='of everything that is left to chance (default: 0)')
    parser.add_argument(
        '--control',
        choices=CONTROLS,
        nargs='?',
        const='unguarded',
        help='break something that has to be found: let workers begin whatever is delivered, or send no message again',
    )
    parser.add_argument(
        '--database', choices=DATABASES, default='postgresql', help='of the store (default: postgresql)'
    )
    arguments = parser.parse_args()
    if arguments.database == 'sqlite' and arguments.engine != 'process':
        parser.error('only the engine process has the store in SQLite here')
    if arguments.control:
        CONTROLS[arguments.control]()
    engine = ENGINES[arguments.engine]()
    try:
        # what was committed outlives the server, though not the machine
        with (
            tempfile.TemporaryDirectory(prefix='kills-') as name,
            DATABASES[arguments.database](name) as (server, url),
        ):
            engine.folder = Path(name)
            prepare(engine, url)
            chance = random.Random(arguments.seed)
            numbers = arguments.kills, arguments.minutes
            seconds = arguments.life, arguments.step, arguments.patience, arguments.outage
            figures = kill(engine, server, url, Path(name), *numbers, chance, *seconds)
            found = any(figures['wrong'].values())
            if found and not arguments.control:
                sys.stderr.write((Path(name) / 'log').read_text()[-20000:])
    finally:
        engine.end()
    print(json.dumps(vars(arguments) | figures, indent=2))
    sys.exit(found != bool(arguments.control))


def prepare(engine, url):
    # in a process of its own, because those that are forked must not inherit connections
    pid = os.fork()
    if not pid:
        try:
            Base.metadata.create_all(create_engine(url))
            engine.prepare(url)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


if __name__ == '__main__':
    main()
