# PYTHON_ARGCOMPLETE_OK, which argcomplete looks for
"""The command ``pcron``: list the tasks of an application, run them, and show their runs."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from pyramid_cron.claims import Unavailable
from pyramid_cron.monitoring.problems import OF_TICKS
from pyramid_cron.orders import NotRun, cron_path
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.doctor import DoctorCommand
from pyramid_cron.scripts.listing import (
    format_due,
    format_problem,
    format_table,
    format_task,
    format_timeline,
    wrap,
)
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.scripts.run_commands import RunCommands
from pyramid_cron.scripts.store_commands import StoreCommands
from pyramid_cron.task_summary import LOCAL_TIME, Summaries


def main(argv: Sequence[str] = sys.argv, quiet: bool = False) -> int:
    """Run the command and return its exit status.

    It is 0, 1 if a task did not succeed or a check failed, and 2 if the command was used wrongly.
    After a signal that interrupted it, the status is 128 and the number of the signal, as in shells.
    """
    with suppress(ImportError):
        # ends the process if a shell requests completions
        import argcomplete

        argcomplete.autocomplete(PCronCommand.parser)
    return PCronCommand(argv, quiet).run()


class PCronCommand(RunCommands, StoreCommands, DoctorCommand):
    """All commands; those that show tasks are here."""

    def run(self) -> int:
        commands = {
            'list': self.list_tasks,
            'show': self.show_task,
            'pause': self.pause,
            'resume': self.resume,
            'forget': self.forget,
            'tick': self.tick,
            'run': self.run_named,
            'work': self.work,
            'perform': self.perform,
            'history': self.history,
            'doctor': self.examine,
            'store': self.manage_store,
        }
        try:
            self.load()
            return commands[self.args.command]()
        except UsageError as exc:
            self.warn(str(exc))
            return 2
        except (NotRun, Unavailable) as exc:
            self.warn(str(exc))
            return 1
        except KeyboardInterrupt:
            number = self.shutdown.signal or signal.SIGINT
            self.warn(f'interrupted by {number.name}')
            return 128 + number

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
        shown = {
            'at': clock.to_zone(instant, self.zone).isoformat(),
            'at_utc': instant.isoformat(),
            'path': cron_path(self.registry),
            **{kind.replace(' ', '_'): found.of_ticks is not None and found.of_ticks.kind == kind for kind in OF_TICKS},
            'problem': found.of_ticks and str(found.of_ticks),
            'not_registered': [
                {'name': problem.task, 'problem': problem.kind, 'since': problem.since and problem.since.isoformat()}
                for problem in found.not_registered
            ],
            'tasks': [summary.as_dict(explained=self.args.at is not None) for summary in found.tasks],
        }
        return json.dumps(shown, indent=2)

    def _list_lines(self, found: Summaries, instant: datetime) -> list[str]:
        width, summaries = self.width(), found.tasks
        if not summaries:
            lines = ['The application has no cron tasks.']
        elif self.args.next:
            lines = format_timeline(summaries, self.zone, width, self.args.next)
            paused = [summary.task.name for summary in summaries if summary.is_paused]
            lines += wrap('Paused: ', ', '.join(paused), width) if paused else []
        elif self.args.at is not None:
            due = sum(summary.is_due for summary in summaries)
            lines = [f'At {self.format_minute(instant)} {due} of {len(summaries)} tasks are due.']
            lines += format_due(summaries, width)
        else:
            lines = format_table(summaries, self.zone, width, self.args.verbose)
        if not self.task_names():
            for problem in found.not_registered:
                text = format_problem(problem, self.zone, f'{problem.task}, {problem.kind}')
                lines += wrap('Not registered: ', text, width)
        if found.of_ticks is not None:
            lines += wrap('', f'{found.of_ticks.as_sentence()}.', width)
        end = f'Times are in {self.zone or LOCAL_TIME}. Trigger: {cron_path(self.registry)}'
        return [*lines, '', *wrap('', end, width)]

    def show_task(self) -> int:
        """Explain one task."""
        if len(self.task_names()) != 1:
            raise UsageError("name one task; 'pcron list' shows their names")
        found = self.summaries(self.parse_at(), self.args.next, self.selected_tasks())
        [summary] = found.tasks
        last_runs = ['not recorded: set cron.store']
        if self.registry['cron_store'] is not None:
            from pyramid_cron.scripts.history import last_run_lines

            try:
                last_runs = last_run_lines(self.require_store(), summary, self.now())
            except Unavailable:
                # the summaries have warned of it
                last_runs = []
        self.out('\n'.join(format_task(summary, self.width(), last_runs, self.settings.catch_up, found.of_ticks)))
        return 0
