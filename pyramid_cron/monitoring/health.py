"""Health of an application's tasks as one answer, for whatever watches it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pyramid_cron.claims import Unavailable
from pyramid_cron.monitoring.examine import examine
from pyramid_cron.monitoring.problems import KINDS, OF_TICKS, TICK_FAILED, Problem
from pyramid_cron.reports import STUCK, UNREGISTERED, duration


@dataclass(frozen=True)
class Health:
    """The problems of an application.

    :param last_tick: the newest minute that had a tick, in UTC; ``None`` if there was none.
    :param silence: how long ago that is, by the database's clock.
    :param problems: the problems, the most urgent first.
    :param unavailable: why they are not known.
    :param faults: kinds of problems that the settings make faults.
    """

    last_tick: datetime | None = None
    silence: timedelta | None = None
    problems: Sequence[Problem] = ()
    unavailable: str | None = None
    faults: Collection[str] = ()

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
        for kind in KINDS:
            names = [_shown(problem) for problem in self.problems if problem.kind == kind]
            if names:
                parts.append(f'{kind}: {", ".join(names)}')
        return f'ok, {"; ".join(parts)}' if self.ok else f'fail: {"; ".join(parts)}'

    def as_dict(self) -> dict[str, Any]:
        """Return the health for JSON."""
        return {
            'status': 'ok' if self.ok else 'fail',
            'last_tick': self.last_tick and self.last_tick.isoformat(),
            'seconds_since_last_tick': None if self.silence is None else round(self.silence.total_seconds(), 3),
            **{kind.replace(' ', '_'): any(problem.kind == kind for problem in self.problems) for kind in OF_TICKS},
            **{kind: [problem.task for problem in self.problems if problem.kind == kind] for kind in KINDS},
            'problem': self.unavailable or next((p.error for p in self.problems if p.kind == TICK_FAILED), None),
        }


def _shown(problem: Problem) -> str:
    if problem.kind == STUCK and problem.seconds is not None:
        return f'{problem.task} (running for {duration(problem.seconds)})'
    return str(problem.task)


def health_of(registry: Any) -> Health:
    """Return the health of an application with a store."""
    try:
        found = examine(registry)
    except Unavailable as exc:
        return Health(unavailable=str(exc))
    last = found.snapshot.last_tick
    # a clock may differ from the database's by less than a minute
    silence = None if last is None else max(found.snapshot.now - last, timedelta(0))
    faults = (UNREGISTERED,) if registry['cron_settings'].unregistered == 'fail' else ()
    return Health(last, silence, found.problems, faults=faults)
