"""The property: each due task has run, or health names it within two ticks, and the history within ``catch_up``.

Health names a task if it is red because of it or of the ticks, or if no server answers. A failed attempt that is to be
repeated is retrying, and red only when the attempts are used up. It shows the last result of a task: nothing is missing
if a newer run was good, nor of a minute that was skipped or paused. A run in progress is not late while its process
answers. Ten minutes after a fault nothing is left of it but the last result of a task.
"""

from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import psycopg

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.missed import NO_TICK_IN_TIME
from tests.kills.application import written

from .application import TASKS

# minutes after a fault until nothing may be wrong any more
RECOVERY = 10 * MINUTE
ENDED = {'ok', 'failed', 'lost', 'missed', 'skipped', 'paused'}
# what health has to name, beside the history
BAD = {'failed', 'lost', 'missed'}
RETRYING = 'retrying'
NEVER = datetime(2000, 1, 1, tzinfo=timezone.utc)


class Finding(NamedTuple):
    """Something that is silently wrong.

    :param minute: the simulated minute, counted from the first one.
    :param check: the part of the property that does not hold.
    :param fault: the present fault, or the last one.
    """

    minute: int
    check: str
    what: str
    fault: str


class Watch:
    """Compares after each minute what the tasks did with what health and the history report.

    :param world: the :class:`.world.World`.
    """

    def __init__(self, world):
        self._world = world
        self._begin = world.minute
        self._effects = Counter()
        # of each due minute that is recorded, the outcomes ever seen, because faults empty the history
        self._recorded = defaultdict(set)
        # those that have neither run nor are recorded, and those without an effect that health has not named
        self._owed, self._unnamed = set(), set()
        # those owed that health did not name in the last minute
        self._green = set()
        self._reported = set()
        # the first minute in which one that was due before was in progress no more, or could be known to be due
        self._since = {}
        # the minutes for which both servers have ticked, and remember it
        self._ticked, self._restarts = set(), 0
        #: the present fault, or the last one, and when it ended, ``None`` while it is there
        self.fault, self.fault_ended = 'none', NEVER
        self.faults = []
        self.findings = []
        self.figures = Counter()
        self.outcomes = Counter()

    def begin(self, number, name, description):
        """Note a fault that begins."""
        shown = name if description is None else f'{name}: {description}'
        self.faults.append((number, shown))
        self.fault = shown if self.fault_ended is not None else f'{self.fault}, {shown}'
        self.fault_ended = None

    def after_minute(self, answers, healths):
        """Check what has to be true at the end of a minute.

        :param answers: of the ticks, ``None`` for one that lasts longer.
        :param healths: what the servers report that can report something.
        """
        now = self._world.minute
        self._note_ticks(answers)
        due = {(name, now) for name, task in TASKS.items() if task.is_due(now)}
        self.figures['due'] += len(due)
        self._owed |= due
        self._unnamed |= due
        self._read()
        self._check_twice()
        run = self._effects.keys()
        self._owed -= run | {key for key in self._owed if self._recorded[key] & ENDED}
        self._unnamed -= run
        self._check_health(healths)
        if self.fault_ended is not None:
            self._check_history()
            if now - self.fault_ended >= RECOVERY:
                self._check_quiet(healths)

    def _note_ticks(self, answers):
        if self._world.restarts != self._restarts:
            self._restarts = self._world.restarts
            self._ticked.clear()
        if len(answers) == 2 and None not in answers and not any(self._world.ahead):
            self._ticked.add(self._world.minute)

    def _check_health(self, healths):
        now, without_run = self._world.minute, self._owed | self._unnamed
        # two ticks after they were in progress, or after the only clock was wrong
        self._since |= dict.fromkeys(without_run if self._world.is_blind else self._in_progress(), now + MINUTE)
        late = {key for key in without_run if now - self._since.get(key, key[1]) >= MINUTE}
        # without an answer the silence is what a watcher sees
        named = {key for key in without_run if not healths or any(_names(health, key[0]) for health in healths)}
        quiet = {key for key in self._unnamed if self._recorded[key] & ENDED and not self._recorded[key] & BAD}
        self._unnamed -= named | quiet
        retried = {key for key in self._unnamed if any(key[0] in health[RETRYING] for health in healths)}
        for key in sorted((self._unnamed & late) - retried):
            self._unnamed.discard(key)
            if not self._has_run_since(key):
                self._find('health does not name it within two ticks', _shown(key))
        # one tick may end well before the next one records what did not run
        green = (self._owed & late) - named
        for key in sorted(green & self._green):
            self._find('health names it no more, and the history does not', _shown(key), once=key)
        self._green = green

    def _check_history(self):
        for name, minute in sorted(self._owed - self._in_progress()):
            if self._world.minute > max(minute + TASKS[name].catch_up, self.fault_ended) + MINUTE:
                self._owed.discard((name, minute))
                self._find('the history does not have it within catch_up', _shown((name, minute)))

    def _in_progress(self):
        return {(name, datetime.fromisoformat(minute)) for name, minute in self._world.in_progress()}

    def _read(self):
        effects = [tuple(line.split('\t')) for line in self._world.effects.read_text().splitlines()]
        since = (self._world.minute - timedelta(hours=3)).strftime('%Y-%m-%d %H:%M')
        try:
            joined = self._world.database.rows('SELECT task, minute FROM effects')
            records = self._world.database.rows(
                f"SELECT task, scheduled_for, outcome, id, reason FROM cron_runs WHERE scheduled_for >= '{since}'"
            )
        except psycopg.OperationalError:
            # it is away or locked, and what it has is known from the minute before
            return
        self._effects = Counter((task, _instant(minute)) for task, minute in [*effects, *joined])
        for task, minute, outcome, run_id, reason in records:
            key = task, _instant(minute)
            self._recorded[key].add(outcome)
            if outcome in ENDED and run_id not in self._reported:
                self._reported.add(run_id)
                self.outcomes[outcome] += 1
                if reason == NO_TICK_IN_TIME and key[1] in self._ticked:
                    self._find('the history has no tick, and two came', _shown(key))

    def _check_twice(self):
        for key, number in self._effects.items():
            if number > 1:
                self._find('it has run twice', _shown(key), once=key)
        for key, outcomes in self._recorded.items():
            if 'ok' in outcomes and key not in self._effects:
                self._find('it is recorded as ok and has no effect', _shown(key), once=key)

    def _has_run_since(self, key):
        """Return whether a newer run of a task is good: health shows the last one."""
        return any(name == key[0] and key[1] < minute <= self._world.minute for name, minute in self._effects)

    def _check_quiet(self, healths):
        """Check that nothing is left of the last fault, but what the last run of a task was."""
        for health in healths:
            if health['no_tick'] or health['tick_failed'] or health['problem']:
                self._find('the ticks are red long after the fault', health['problem'] or 'no tick', once=self.fault)
            for kind, names in health.items():
                for name in names if isinstance(names, list) and kind != 'paused' else ():
                    if kind not in {*BAD, RETRYING} or 'ok' in self._recorded[self._last_due(name)]:
                        self._find(f'{kind} long after the fault', name, once=(self.fault, name))
        for key in self._effects.keys() - self._recorded.keys():
            self._find('it has run and is not recorded', _shown(key), once=key)
        self._find_running()

    def _find_running(self):
        rows = self._world.database.rows('SELECT task, last_minute FROM cron_tasks WHERE run_id IS NOT NULL')
        open_ = self._world.database.rows("SELECT task, scheduled_for FROM cron_runs WHERE outcome = 'running'")
        for what, found in (('its row is claimed', rows), ('it is recorded as running', open_)):
            for key in {(name, _instant(minute)) for name, minute in found} - self._in_progress():
                self._find(f'{what} long after the fault', _shown(key), once=(what, key))

    def _last_due(self, name):
        minute = self._world.minute
        while not TASKS[name].is_due(minute):
            minute -= MINUTE
        return name, minute

    def _find(self, check, what, once=None):
        if once is None or (check, once) not in self._reported:
            self._reported.add((check, once))
            minute = (self._world.minute - self._begin) // MINUTE
            self.findings.append(Finding(minute, check, what, self.fault))


def _names(health, task):
    """Return whether health is red because of a task, or of the ticks of all of them."""
    if health['status'] == 'ok':
        return False
    if any(task in names for names in health.values() if isinstance(names, list)):
        return True
    problem = health['problem']
    of_others = problem is not None and problem.startswith('task ') and ' more' not in problem
    return health['no_tick'] or (problem is not None and (not of_others or f'task {task}:' in problem))


def _instant(value):
    """Return an instant as the databases, and the tasks, write it."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=timezone.utc)


def _shown(key):
    return f'{key[0]} for {written(key[1])}'
