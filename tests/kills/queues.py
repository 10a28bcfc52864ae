"""Whether runs that are handed over keep the promises of the store: ``python -m tests.kills.queues --help``.

Four processes tick a simulated clock and hand over, and two workers of the engine run the tasks. All of them are killed
with SIGKILL at random, and replaced. In the middle there is no broker for a while: no Redis, or with procrastinate no
PostgreSQL, which is killed. At the end what the tasks did is compared with what the store says that they did.
"""

import argparse
import asyncio
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

from pyramid_cron.orders import run_through
from pyramid_cron.schedules.clock import MINUTE, minute_of
from pyramid_cron.store.options import Options
from pyramid_cron.store.requested_runs import RequestedRuns
from pyramid_cron.store.schema import runs, tasks
from pyramid_cron.store.task_conditions import THIS_TASK
from pyramid_cron.store.task_rows import TaskStates
from tests.support.databases import postgresql_server
from tests.support.redis import Redis

from .application import Base, make_app
from .checks import compare, is_quiet
from .processes import begin

# seconds that a simulated minute takes, for which a run waits for a worker, and for which there is no broker
STEP, PATIENCE, OUTAGE = 0.3, 4.0, 2.0
WEB, WORKERS = 4, 2
# a run that waits long in the real time of the harness has waited for a moment of the simulated one
TEN_YEARS = str(10 * 365 * 86400)
MOST_MINUTES = 100


def celery_app(broker, chance=None):
    """Return an application of Celery.

    :param chance: a random.Random, by which some messages are sent twice.
    """
    import celery

    class Twice(celery.Celery):
        def send_task(self, *arguments, **options):
            for _ in range(chance.choice([1, 1, 1, 2])):
                super().send_task(*arguments, **options)

    app = Twice('kills', broker=broker, set_as_current=False)
    app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
    return app


class Celery:
    """Celery with a real Redis."""

    def __init__(self):
        self._redis = Redis()

    def settings(self):
        return {'via': 'celery', 'celery': celery_app(self._redis.url, random.Random(0))}

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

    def settings(self):
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


ENGINES = {'celery': Celery, 'procrastinate': Procrastinate}


def conninfo(url):
    url = make_url(url)
    return f'host={url.query["host"]} user={url.username} dbname={url.database}'


class Killed:
    """Processes that are killed at random, and replaced.

    :param chance: a random.Random.
    :param kinds: how many of each kind there are, and what each does until it is killed.
    """

    def __init__(self, chance, log, kinds):
        self._chance, self._log, self._kinds = chance, log, kinds
        self._living = {}
        self.kills = dict.fromkeys(kinds, 0)
        self.crashed = 0

    def step(self, lethal=True):
        """Begin what is not there, and kill whose time has come."""
        now = time.monotonic()
        for kind, (number, body) in self._kinds.items():
            for slot in range(number):
                if (kind, slot) not in self._living:
                    self._living[kind, slot] = self._begin(body), now + self._chance.uniform(0.3, 4)
        for (kind, slot), (pid, until) in list(self._living.items()):
            if lethal and now > until:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                self.kills[kind] += 1
                del self._living[kind, slot]
            elif os.waitpid(pid, os.WNOHANG)[0]:
                self.crashed += 1
                del self._living[kind, slot]

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


def kill(engine, server, url, folder, kills, minutes, chance):
    """Kill so many processes of each kind, take the broker away for a while in the middle, and return figures."""
    Options.queue_timeout = lambda options, task: timedelta(seconds=PATIENCE)
    first, start = minute_of(datetime.now(timezone.utc)) - timedelta(minutes=20000), time.time()
    options = {'catch_up': TEN_YEARS, 'keep_history': '300', **engine.settings()}

    def simulated():
        return first + timedelta(minutes=int((time.time() - start) / STEP))

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

    killed = Killed(chance, folder / 'log', {'web': (WEB, tick), 'worker': (WORKERS, work)})
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
                    until = time.monotonic() + OUTAGE
                    while time.monotonic() < until:
                        killed.step()
                        time.sleep(0.01)
        print(f'settling: {killed.kills}', file=sys.stderr)
        killed.end('web')
        killed.step(lethal=False)
        last, registry = settle(url, folder, options, simulated() + MINUTE, killed)
    finally:
        for kind in list(killed._kinds):
            killed.end(kind)
    figures = compare(url, registry, last, folder / 'overlaps', True)
    return {
        'seconds': round(time.time() - start, 1),
        'simulated minutes': (last - first) // MINUTE,
        'killed': killed.kills,
        'ended by themselves': killed.crashed,
        'missed': missed(url),
        **figures,
    }


def settle(url, folder, options, minute, killed):
    """Tick until everything has come to an end, while workers live, and return the last minute."""
    app, registry = make_app(url, folder, True, **options)
    for _ in range(MOST_MINUTES):
        run_through(app, registry, minute)
        deadline = time.monotonic() + PATIENCE + 1
        while not (quiet := is_quiet(url)) and time.monotonic() < deadline:
            killed.step(lethal=False)
            # what workers still do shows in the database alone
            time.sleep(0.05)
        if quiet:
            break
        print(f'not quiet at {minute}', file=sys.stderr)
        minute += MINUTE
    return minute, registry


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

    def claim_enqueued(states, task, enqueued_id, **values):
        states._change(tasks.c.task == THIS_TASK, {THIS_TASK.key: task}, handed_over_for=None, **values)
        return True

    RequestedRuns.delivered, TaskStates.claim_enqueued = delivered, claim_enqueued


def main():
    parser = argparse.ArgumentParser(prog='python -m tests.kills.queues', description=__doc__)
    parser.add_argument('--engine', choices=ENGINES, default='procrastinate')
    parser.add_argument('--kills', type=int, default=200, help='of processes that tick, and of workers (default: 200)')
    parser.add_argument('--minutes', type=int, default=300, help='to simulate at least (default: 300)')
    parser.add_argument('--seed', type=int, default=0, help='of everything that is left to chance (default: 0)')
    parser.add_argument(
        '--control', action='store_true', help='let workers begin whatever is delivered, which has to be found'
    )
    arguments = parser.parse_args()
    if arguments.control:
        unguarded()
    engine = ENGINES[arguments.engine]()
    try:
        # what was committed outlives the server, though not the machine
        with (
            tempfile.TemporaryDirectory(prefix='kills-') as name,
            postgresql_server(synchronous_commit='on') as server,
            server.database() as url,
        ):
            prepare(engine, url)
            chance = random.Random(arguments.seed)
            figures = kill(engine, server, url, Path(name), arguments.kills, arguments.minutes, chance)
            found = any(figures['wrong'].values())
            if found and not arguments.control:
                sys.stderr.write((Path(name) / 'log').read_text()[-20000:])
    finally:
        engine.end()
    print(json.dumps(vars(arguments) | figures, indent=2))
    sys.exit(found != arguments.control)


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
