"""``pcron running``: the runs in progress, and the last runs that took longest, both by the rows of the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyramid_cron.durations import format_seconds, run_duration
from pyramid_cron.history_entries import process_of
from pyramid_cron.outcomes import OVERDUE, QUEUED, SLOW, STUCK
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.arguments import require_known
from pyramid_cron.scripts.columns import align, cut_end
from pyramid_cron.scripts.command import Command

if TYPE_CHECKING:
    from pyramid_cron.monitoring.examine import Examination
    from pyramid_cron.store.task_state import TaskState

# last runs that are shown
MAX_LONGEST = 5


class RunningCommand(Command):
    """The command that shows what takes long."""

    def show_running(self) -> int:
        """Show the runs in progress, the longest first, and the last runs that took longest."""
        self.require_store()
        from pyramid_cron.monitoring.examine import examine

        names = self.task_names()
        require_known(names, self.tasks, self.unregistered_names())
        examination = examine(self.registry, names)
        states = [state for name, state in examination.snapshot.states.items() if not names or name in names]
        claimed = sorted((state for state in states if state.is_claimed), key=lambda state: state.started_at or 0.0)
        rows = [self._in_progress(state, examination) for state in claimed]
        lines = self._table(rows) if rows else ['Nothing is running.']
        ended = [state for state in states if state.last_seconds is not None and not state.is_claimed]
        longest = sorted(ended, key=lambda state: state.last_seconds or 0.0, reverse=True)[:MAX_LONGEST]
        if longest:
            lines += ['', 'The last runs that took longest:', *self._table([self._ended(state) for state in longest])]
        if examination.of_ticks is not None:
            lines += ['', f'{examination.of_ticks.as_sentence()}.']
        self.out('\n'.join(lines))
        return 0

    def _table(self, rows: Sequence[tuple[str, str, str, str]]) -> list[str]:
        cutter, width = self.name_cutter(), self.table_width()
        outcomes, took, names, texts = zip(*rows, strict=True)
        if cutter is None:
            return align([outcomes, took, names, texts])
        # a name has half of the line at most
        cut = [cutter.cut(name, width // 2) for name in names]
        return [cut_end(line, width) for line in align([outcomes, took, cut, texts])]

    def _in_progress(self, state: TaskState, examination: Examination) -> tuple[str, str, str, str]:
        """Return what a run in progress is, for how long, its task, and since when and where it runs."""
        now = examination.snapshot.now
        word = state.in_progress(state.task in examination.stuck) or ''
        seconds = 0.0 if state.started is None else max((now - state.started).total_seconds(), 0.0)
        parts = [] if state.started is None else [f'since {clock.to_zone(state.started, self.zone):%a %H:%M:%S}']
        if word != QUEUED and state.process is not None:
            parts.append(process_of(state.process.pid, state.process.host))
        for problem in examination.by_task().get(state.task, ()):
            if problem.kind in (SLOW, OVERDUE):
                parts.append(str(problem))
            elif problem.kind == STUCK and problem.stop_text:
                parts.append(problem.stop_text)
        return word, run_duration(seconds), state.task, ', '.join(parts)

    def _ended(self, state: TaskState) -> tuple[str, str, str, str]:
        at = '' if state.last_finished is None else f'{clock.to_zone(state.last_finished, self.zone):%a %Y-%m-%d %H:%M}'
        return (
            state.last_outcome or '',
            format_seconds(state.last_seconds or 0.0),
            state.task,
            f'ended {at}' if at else '',
        )
