"""Health of an application's tasks as one answer, for whatever watches it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from pyramid_cron.claims import Pause
from pyramid_cron.durations import duration, run_duration
from pyramid_cron.errors import Unavailable
from pyramid_cron.monitoring.examine import examine
from pyramid_cron.monitoring.problem import OF_TICKS, TICK_FAILED, WORDS, Problem
from pyramid_cron.outcomes import OVERDUE, PAUSED, STOPPED, STUCK, UNREGISTERED
from pyramid_cron.schedules import clock
from pyramid_cron.task_texts import format_failing

# names of overdue tasks in the text
MOST_OVERDUE = 20


@dataclass(frozen=True)
class Health:
    """The problems of an application.

    :param last_tick: the newest minute that had a tick, in UTC; ``None`` if there was none.
    :param silence: how long ago that is, by the database's clock.
    :param problems: the problems, the most urgent first.
    :param unavailable: why they are not known.
    :param faults: kinds of problems that the settings make faults.
    :param zone: the time zone of times in the text, ``None`` for the machine's.
    :param pause_of_all: the pause of all tasks, if one is in force.
    :param now: the instant, by the database's clock; ``None`` if the problems are not known.
    """

    last_tick: datetime | None = None
    silence: timedelta | None = None
    problems: Sequence[Problem] = ()
    unavailable: str | None = None
    faults: Collection[str] = ()
    zone: tzinfo | None = None
    pause_of_all: Pause | None = None
    now: datetime | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong. A paused task is not wrong, nor by default an unregistered one."""
        faults = (problem.is_fault or problem.kind in self.faults for problem in self.problems)
        return self.unavailable is None and not any(faults)

    def __str__(self) -> str:
        if self.unavailable is not None:
            return f'fail: {self.unavailable}'
        if self.silence is None:
            parts = ['no tick has come yet']
        else:
            parts = [f'last tick {duration(self.silence.total_seconds())} ago']
        parts += [str(problem) for problem in self.problems if problem.kind == TICK_FAILED]
        for word in WORDS:
            # a paused task has two problems of this word if its last run has failed, the first with the details
            chosen = [problem for problem in self.problems if problem.word == word and not problem.is_of_all]
            found = {problem.task: _shown(problem, self.now, self.zone) for problem in reversed(chosen)}
            names = [*reversed(found.values())]
            if word == OVERDUE and len(names) > MOST_OVERDUE:
                # all tasks, if no tick comes
                names[MOST_OVERDUE:] = [f'and {len(names) - MOST_OVERDUE} more']
            if word == PAUSED and self.pause_of_all is not None:
                names.insert(0, 'all tasks')
            if names:
                parts.append(f'{word}: {", ".join(names)}')
        return f'ok, {"; ".join(parts)}' if self.ok else f'fail: {"; ".join(parts)}'

    def as_dict(self) -> dict[str, Any]:
        """Return the health for JSON."""
        return {
            'status': 'ok' if self.ok else 'fail',
            'last_tick': self.last_tick and self.last_tick.isoformat(),
            'seconds_since_last_tick': None if self.silence is None else round(self.silence.total_seconds(), 3),
            **{kind.replace(' ', '_'): any(problem.kind == kind for problem in self.problems) for kind in OF_TICKS},
            **{word: list(dict.fromkeys(p.task for p in self.problems if p.word == word)) for word in WORDS},
            'all_paused': self.pause_of_all is not None,
            'problem': self.unavailable or next((p.error for p in self.problems if p.kind == TICK_FAILED), None),
        }


def _shown(problem: Problem, now: datetime | None, zone: tzinfo | None) -> str:
    details = [] if problem.excuse is None else [problem.kind]
    if problem.kind == STUCK and problem.seconds is not None:
        details += [f'running for {run_duration(problem.seconds)}', *([problem.stop_text] if problem.stop else [])]
    if problem.kind == OVERDUE and problem.seconds is not None:
        details.append(problem.overdue_text)
    if problem.kind == STOPPED and problem.error:
        details.append(problem.error)
    if now is not None:
        details += filter(None, [format_failing(problem, now, zone)])
    if problem.next_attempt is not None:
        details.append(f'next attempt at {clock.to_zone(problem.next_attempt, zone):%H:%M}')
    return f'{problem.task} ({", ".join(details)})' if details else str(problem.task)


def health_of(registry: Any) -> Health:
    """Return the health of an application with a store."""
    try:
        found = examine(registry)
    except Unavailable as exc:
        return Health(unavailable=str(exc))
    last = found.snapshot.last_tick
    # a clock may differ from the database's by less than a minute
    silence = None if last is None else max(found.snapshot.now - last, timedelta(0))
    settings, pause_of_all = registry['cron_settings'], found.snapshot.pause_of_all
    faults = (UNREGISTERED,) if settings.unregistered == 'fail' else ()
    now = found.snapshot.now
    return Health(
        last, silence, found.problems, faults=faults, zone=settings.timezone, pause_of_all=pause_of_all, now=now
    )
