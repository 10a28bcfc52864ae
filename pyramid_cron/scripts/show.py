"""``pcron show``: everything about one task, and why it ran or did not run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pyramid_cron.errors import Unavailable
from pyramid_cron.outcomes import PAUSED, STUCK
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.nearest import newest_until
from pyramid_cron.scripts.command import Command
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.scripts.task_details import format_problem, format_task, labelled
from pyramid_cron.task_summary import LOCAL_TIME, TaskSummary
from pyramid_cron.task_texts import format_pause

WITHOUT_STORE = ['not recorded: set cron.store']


class ShowCommand(Command):
    """The command that explains one task."""

    def show_task(self) -> int:
        """Explain one task."""
        names = self.task_names()
        if len(names) != 1:
            raise UsageError("name one task; 'pcron list' shows their names")
        registered = {task.name for task in self.tasks}
        if names[0] not in registered and names[0] in self.unregistered_names():
            self.out('\n'.join(self._unregistered_lines(names[0])))
            return 0
        instant = self.parse_at()
        found = self.summaries(instant, self.args.next, self.selected_tasks())
        [summary] = found.tasks
        last_due, state, last_runs = '', '', list(WITHOUT_STORE)
        if self.registry['cron_store'] is not None:
            try:
                last_due, state = self._last_due(summary, instant)
                last_runs = self._last_runs(summary)
            except Unavailable:
                # the summaries have warned of it
                last_runs = []
        lines = format_task(summary, self.width(), last_runs, self.settings.catch_up, found.of_ticks, last_due, state)
        self.out('\n'.join(lines))
        return 0

    def _last_runs(self, summary: TaskSummary) -> list[str]:
        from pyramid_cron.scripts.history import last_run_lines

        stuck = any(problem.kind == STUCK for problem in summary.problems)
        names = [summary.task.name] if summary.state is None else summary.state.names
        return last_run_lines(self.require_store(), names, stuck, summary.task.timezone, self.now(), summary.state)

    def _last_due(self, summary: TaskSummary, instant: datetime) -> tuple[str, str]:
        """Return what became of the newest minute until an instant at which a task was due, and what else is known.

        What is known of the task now belongs to that minute, unless the instant is another one, the minute is not
        recorded, or the last run was for no minute.
        """
        from pyramid_cron.monitoring.examine import examine
        from pyramid_cron.monitoring.minute_results import NOT_RECORDED, describe_result, results_of

        task, present = summary.task, self.current_minute()
        last = summary.last_due(task.timezone) if instant == present else None
        state = '' if last is None else summary.format_last_due()
        minute = None if task.schedule.is_off else newest_until(min(instant, present), task.runs)
        if minute is None:
            return '', state
        examination = examine(self.registry, [task.name])
        result = results_of(self.registry, [task], minute, examination)[task.name]
        text = describe_result(result, self.now(), bool(examination.stuck), self.format_minute)
        shown = f'{clock.to_zone(minute, task.timezone):%a %Y-%m-%d %H:%M}: {text}'
        if last is None or last.by_hand or result.outcome == NOT_RECORDED:
            return shown, state
        return '; '.join([shown, *last.details]), ''

    def _unregistered_lines(self, name: str) -> Iterator[str]:
        """Yield lines with what the store has of a task that is not registered here."""
        from pyramid_cron.monitoring.examine import examine
        from pyramid_cron.scripts.history import last_run_lines
        from pyramid_cron.store.schedule_text import write_for_people

        width = self.width()
        examination = examine(self.registry, [name])
        state = examination.snapshot.states[name]
        yield name
        yield ''
        seen = state.last_seen and f'{clock.to_zone(state.last_seen, self.zone):%a %Y-%m-%d %H:%M}'
        last = f': the last tick of a process that has it was at {seen}' if seen else ''
        yield from labelled('registered', f'not here{last}', width)
        written = write_for_people(state.schedule)
        schedule = 'cannot be read here' if written is None else f'{written[0]} ({written[1] or LOCAL_TIME})'
        yield from labelled('schedule', f'{schedule}, as it was', width)
        for pause in state.pauses_at(examination.snapshot.now):
            yield from labelled('paused', format_pause(pause, self.zone), width)
        problems = [problem for problem in examination.problems if problem.task and problem.kind != PAUSED]
        sections = {
            'problems': [format_problem(problem, self.zone, problem.kind) for problem in problems],
            'last runs': last_run_lines(self.require_store(), [name], False, self.zone, self.now(), state),
        }
        for label, lines in sections.items():
            for index, line in enumerate(lines):
                yield from labelled('' if index else label, line, width)
