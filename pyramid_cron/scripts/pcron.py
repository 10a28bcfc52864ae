# PYTHON_ARGCOMPLETE_OK, which argcomplete looks for
"""The command ``pcron``: list the tasks of an application, run them, and show their runs."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Any

from pyramid_cron.errors import Unavailable
from pyramid_cron.monitoring.problem import OF_TICKS
from pyramid_cron.orders import NotRun, cron_path
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.columns import wrap
from pyramid_cron.scripts.doctor import DoctorCommand
from pyramid_cron.scripts.listing import format_due, format_overrides, format_table, format_timeline
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.scripts.rehearse import RehearseCommand
from pyramid_cron.scripts.run_commands import RunCommands
from pyramid_cron.scripts.running import RunningCommand
from pyramid_cron.scripts.show import ShowCommand
from pyramid_cron.scripts.store_commands import StoreCommands
from pyramid_cron.scripts.store_errors import brief_store_errors, connection_errors
from pyramid_cron.scripts.task_details import format_problem
from pyramid_cron.scripts.timeline import TimelineCommand
from pyramid_cron.summaries import Summaries
from pyramid_cron.task_summary import LOCAL_TIME, TaskSummary
from pyramid_cron.task_texts import format_pause, pause_as_dict
from pyramid_cron.times import TIME_OF_DAY


def main(argv: Sequence[str] = sys.argv, quiet: bool = False) -> int:
    """Run the command and return its exit status.

    It is 0, 1 if a task did not succeed or a check failed, 2 if the command was used wrongly, and 3 if a deploy would
    lose a task or a pause, or if a rehearsal did not hold back something.
    After a signal that interrupted it, the status is 128 and the number of the signal, as in shells.
    """
    with suppress(ImportError):
        # ends the process if a shell requests completions
        import argcomplete

        argcomplete.autocomplete(PCronCommand.parser)
    return PCronCommand(argv, quiet).run()


class PCronCommand(
    RunCommands, StoreCommands, ShowCommand, RunningCommand, DoctorCommand, RehearseCommand, TimelineCommand
):
    """All commands; that which lists tasks is here."""

    def run(self) -> int:
        commands = {
            'list': self.list_tasks,
            'show': self.show_task,
            'running': self.show_running,
            'pause': self.pause,
            'resume': self.resume,
            'acknowledge': self.acknowledge,
            'stop': self.stop,
            'forget': self.forget,
            'tick': self.tick,
            'run': self.run_named,
            'work': self.work,
            'perform': self.perform,
            'rehearse': self.rehearse,
            'history': self.history,
            'audit': self.audit,
            'timeline': self.show_timeline,
            'plan': self.plan_deploy,
            'doctor': self.examine,
            'store': self.manage_store,
        }
        try:
            with self.held():
                with connection_errors():
                    self.load()
                verbose, is_loop = self.args.verbose, self.args.command == 'work'
                with nullcontext() if verbose else brief_store_errors(holds=not is_loop):
                    return commands[self.args.command]()
        except UsageError as exc:
            self.warn(str(exc))
            return 2
        except (NotRun, Unavailable) as exc:
            if self.args.verbose:
                traceback.print_exception(exc)
            self.warn(str(exc))
            return 1
        except KeyboardInterrupt:
            return self.interrupted()

    def list_tasks(self) -> int:
        """Show the tasks."""
        instant = self.parse_at()
        found = self.summaries(instant, self.args.next or 1, self.selected_tasks())
        if self.args.json:
            self.out(self._list_as_json(found, instant))
        else:
            self.out('\n'.join(self._list_lines(found, instant)))
        return 0

    def _list_as_json(self, found: Summaries, instant: datetime) -> str:
        shown: dict[str, Any] = {
            'at': clock.to_zone(instant, self.zone).isoformat(),
            'at_utc': instant.isoformat(),
            'path': cron_path(self.registry),
            **{kind.replace(' ', '_'): found.of_ticks is not None and found.of_ticks.kind == kind for kind in OF_TICKS},
            'problem': found.of_ticks and str(found.of_ticks),
            'all_paused': found.pause_of_all and pause_as_dict(found.pause_of_all),
            'not_registered': [
                {'name': problem.task, 'problem': problem.kind, 'since': problem.since and problem.since.isoformat()}
                for problem in found.not_registered
            ],
            'tasks': [summary.as_dict(explained=self.args.at is not None) for summary in found.tasks],
        }
        if self.args.at is not None:
            results = self._results_at(instant, found.tasks)
            for task in shown['tasks']:
                outcome, text = results.get(task['name'], (None, None))
                task['result'] = outcome and {'outcome': outcome, 'text': text}
        return json.dumps(shown, indent=2)

    def _list_lines(self, found: Summaries, instant: datetime) -> list[str]:
        width, summaries = self.table_width(), found.tasks
        cutter = self.name_cutter(problem.task or '' for problem in found.not_registered)
        if not summaries:
            lines = ['The application has no cron tasks.']
        elif self.args.next:
            lines = format_timeline(summaries, self.zone, width, self.args.next, cutter)
            paused = [summary.task.name for summary in summaries if summary.is_paused]
            lines += wrap('Paused: ', ', '.join(paused), width) if paused else []
        elif self.args.at is not None:
            due = sum(summary.is_due for summary in summaries)
            lines = [f'At {self.format_minute(instant)}, {due} of {len(summaries)} tasks are due.']
            lines += self._hint_at_yesterday(instant)
            results = self._results_at(instant, summaries)
            lines += format_due(summaries, width, cutter, {name: text for name, (_, text) in results.items()})
        else:
            lines = format_table(summaries, self.zone, width, self.args.verbose, cutter)
        lines += format_overrides(summaries, width)
        if not self.task_names():
            for problem in found.not_registered:
                text = format_problem(problem, self.zone, f'{problem.task}, {problem.kind}')
                lines += wrap('Not registered: ', text, width)
        if found.pause_of_all is not None:
            lines += wrap('All tasks are paused ', format_pause(found.pause_of_all, self.zone), width)
        if found.of_ticks is not None:
            lines += wrap('', f'{found.of_ticks.as_sentence()}.', width)
        end = f'Times are in {self.zone or LOCAL_TIME}. Path of the tick: {cron_path(self.registry)}'
        return [*lines, '', *wrap('', end, width)]

    def _hint_at_yesterday(self, instant: datetime) -> list[str]:
        """Return a line for a time of day that is still to come, and may be meant to be over."""
        is_of_day = re.fullmatch(TIME_OF_DAY, self.args.at) is not None
        if not is_of_day or instant <= self.current_minute() or self.registry['cron_store'] is None:
            return []
        return [f"That is still to come; --at 'yesterday {self.args.at}' is over."]

    def _results_at(self, instant: datetime, summaries: Sequence[TaskSummary]) -> Mapping[str, tuple[str, str]]:
        """Return what became of a minute, in a word and as a text, of the tasks that were due then or ran for it."""
        if self.registry['cron_store'] is None or instant > self.current_minute():
            return {}
        from pyramid_cron.monitoring.examine import examine
        from pyramid_cron.monitoring.minute_results import describe_result, results_of

        try:
            examination = examine(self.registry)
            results = results_of(self.registry, [summary.task for summary in summaries], instant, examination)
        except Unavailable:
            # the summaries have warned of it
            return {}
        now, stuck = self.now(), examination.stuck
        return {
            name: (result.outcome, describe_result(result, now, name in stuck, self.format_minute))
            for name, result in results.items()
        }
