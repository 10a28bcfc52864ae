"""Processes that tick a simulated clock, and their ends."""

import logging
import mmap
import os
import random
import signal
import time
import traceback
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

from sqlalchemy import Engine, event

from pyramid_cron.orders import run_through
from pyramid_cron.store.claims import StoreClaims

from .application import LEASE, make_app
from .backfills import backfill_one

# seconds that a simulated minute takes
STEP = 0.1
BEGIN = datetime(2024, 1, 1, tzinfo=timezone.utc)
MOST_PROCESSES = 4

# where a process was when it was killed
STAGES = ['starting', 'between ticks', 'polling', 'claiming', 'in a task', 'committing', 'ending']


class Clock:
    """Simulated time, from which the clocks of single processes differ by as much as real clocks do."""

    def __init__(self):
        self._start = time.time()

    def minute(self, skew=0.0):
        return BEGIN + timedelta(minutes=int(self._passed(skew)))

    def wait(self, skew):
        """Wait for the next minute."""
        time.sleep((1 - self._passed(skew) % 1) * STEP)

    def _passed(self, skew):
        return max(0.0, (time.time() - self._start) / STEP + skew / 60)


class Plan:
    """What a process does to itself at one of its statements, and how long it lives at most.

    :param chance: a random.Random.
    """

    def __init__(self, chance):
        self.signal = chance.choice([None, *[signal.SIGKILL] * 4, signal.SIGSTOP])
        # of this task alone
        self.task = chance.choice([None, None, 'plain', 'slow', 'sparse'])
        self.statements = chance.randrange(24 if self.task else 300)
        # a process lives for as many minutes, however long these are
        self.seconds = (chance.uniform(0, 1.5) if self.signal is None else chance.uniform(1, 4)) * STEP / 0.1
        self.skew = chance.uniform(-2, 2)


class Watched(StoreClaims):
    """Claims that record how far they are.

    :param claims: the claims of the store that they stand for.
    :param stages: where that is recorded, a byte for each process.
    """

    def __init__(self, claims, stages, slot, plan):
        super().__init__(claims.database, claims.options, claims.failed_ticks)
        self._stages, self._slot, self._plan = stages, slot, plan
        self._task = None
        for name in ('before_cursor_execute', 'after_cursor_execute', 'commit'):
            event.listen(Engine, name, self._statement)

    def _statement(self, *arguments):
        plan = self._plan
        if plan.signal is not None and plan.task in (None, self._task):
            plan.statements -= 1
            if plan.statements == 0:
                os.kill(os.getpid(), plan.signal)

    def at(self, stage):
        self._stages[self._slot] = STAGES.index(stage)

    def due(self, tasks, instant, trigger):
        self.at('polling')
        return super().due(tasks, instant, trigger)

    def claim(self, run):
        self._task = run.task.name
        self.at('claiming')
        return super().claim(run)

    def claim_first(self, runs):
        wanted = list(runs)
        self._task = wanted[0].task.name
        self.at('claiming')
        claimed = super().claim_first(wanted)
        self._task = next((run.task.name for run in claimed.runs), None)
        return claimed

    @contextmanager
    def joined(self, run, request):
        self.at('in a task')
        with super().joined(run, request):
            yield
        self.at('committing')

    def release(self, run, report, is_last=False):
        self.at('ending')
        report = super().release(run, report, is_last)
        self._task = None
        return report


def walk(clock, plan, stages, slot, seed, backfills, **options):
    """Tick until something ends this process.

    :param backfills: whether half of the processes run tasks for past minutes in place of ticks.
    """
    chance = random.Random(seed)
    makes_good = backfills and chance.random() < 0.5
    app, registry = make_app(seed=seed, **options)
    by_task = registry['cron_claims']
    claims = by_task.in_store = Watched(by_task.in_store, stages, slot, plan)
    minute = None
    while True:
        if makes_good:
            claims.at('between ticks')
            backfill_one(app, registry, clock.minute(plan.skew), chance)
        elif minute == clock.minute(plan.skew):
            claims.at('between ticks')
            clock.wait(plan.skew)
        else:
            minute = clock.minute(plan.skew)
            run_through(app, registry, minute)


def begin(body, log):
    """Fork a process that does something until it is killed, and return its number.

    :param log: the file for its log, and for what ends it otherwise.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        logging.basicConfig(
            filename=log, level=logging.WARNING, format='%(asctime)s %(process)d %(levelname)s %(message)s'
        )
        body()
    except BaseException:
        with log.open('a') as file:
            traceback.print_exc(file=file)
    finally:
        os._exit(1)


class Walkers:
    """Processes that walk through the same simulated minutes.

    :param chance: a random.Random.
    """

    def __init__(self, chance, folder, **options):
        self._chance = chance
        self._options = {**options, 'folder': folder}
        self._log = folder / 'log'
        self._stages = mmap.mmap(-1, MOST_PROCESSES)
        self._living = {}
        # those that were not waited for yet, each with the time for that
        self._zombies = []
        self.clock = Clock()
        self.killed_at = dict.fromkeys(STAGES, 0)
        self.frozen = self.crashed = 0

    @property
    def kills(self):
        return sum(self.killed_at.values())

    def step(self):
        """Begin, freeze, thaw and kill what it is time for."""
        now = time.monotonic()
        for slot in range(self._chance.randint(2, MOST_PROCESSES)):
            if slot not in self._living:
                self._begin(slot, now)
        for slot, (pid, until, thaw) in list(self._living.items()):
            if now > until:
                os.kill(pid, signal.SIGKILL)
            elif thaw and now > thaw:
                os.kill(pid, signal.SIGCONT)
                self._living[slot] = pid, until, None
            state = os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
            if state is None:
                continue
            if state.si_code == os.CLD_STOPPED:
                if thaw is None:
                    # so that it is not reported again
                    os.waitid(os.P_PID, pid, os.WSTOPPED)
                    self.frozen += 1
                    thaw = now + self._chance.uniform(LEASE, 3 * LEASE)
                    self._living[slot] = pid, thaw + 1, thaw
                continue
            del self._living[slot]
            self._zombies.append((pid, now + self._chance.uniform(0, 0.3)))
            if state.si_code == os.CLD_KILLED:
                self.killed_at[STAGES[self._stages[slot]]] += 1
            else:
                self.crashed += 1
        self._bury(now)

    def _begin(self, slot, now):
        plan, seed = Plan(self._chance), self._chance.random()
        self._stages[slot] = 0
        pid = begin(lambda: walk(self.clock, plan, self._stages, slot, seed, **self._options), self._log)
        self._living[slot] = pid, now + plan.seconds, None

    def _bury(self, now):
        for pid, when in list(self._zombies):
            if now > when:
                os.waitpid(pid, 0)
                self._zombies.remove((pid, when))

    def end(self):
        """Kill all, which does not count."""
        for pid, *_ in self._living.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._living.clear()
        self._bury(float('inf'))
