# PYTHON_ARGCOMPLETE_OK, which argcomplete looks for
"""The command ``pcron``: list the tasks of an application, run them, and show what became of them."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from pyramid_cron.claims import Unavailable
from pyramid_cron.orders import NotRun, cron_path
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.listing import explained, reasons, table, timeline, wrapped
from pyramid_cron.scripts.loading import Refused
from pyramid_cron.scripts.run_commands import RunCommands
from pyramid_cron.scripts.store_commands import StoreCommands
from pyramid_cron.task_summary import LOCAL_TIME


def main(argv: Sequence[str] = sys.argv, quiet: bool = False) -> int:
    """Run the command and return its exit status: 2 if it was used wrongly, 1 if a task did not succeed, and else 0.

    If a signal interrupted it, the status is 128 and the number of the signal, as shells have it.
    """
    with suppress(ImportError):
        # ends the process if a shell asks what may come next
        import argcomplete

        argcomplete.autocomplete(PCronCommand.parser)
    return PCronCommand(argv, quiet).run()


class PCronCommand(RunCommands, StoreCommands):
    """All commands; those that show tasks are here."""

    def run(self) -> int:
        commands = {
            'list': self.list,
            'show': self.show,
            'pause': self.pause,
            'resume': self.resume,
            'tick': self.tick,
            'run': self.run_named,
            'work': self.work,
            'perform': self.perform,
            'history': self.history,
            'store': self.check_store,
        }
        try:
            self.load()
            return commands[self.args.command]()
        except Refused as exc:
            self.warn(str(exc))
            return 2
        except (NotRun, Unavailable) as exc:
            self.warn(str(exc))
            return 1
        except KeyboardInterrupt:
            number = self.ending.number or signal.SIGINT
            self.warn(f'interrupted by {number.name}')
            return 128 + number

    def list(self) -> int:
        """Show the tasks."""
        args = self.args
        instant, at = self.minute(args.at), args.at is not None or args.due
        entries = self.overviews(instant, args.next or 1, self.chosen())
        if args.due:
            entries = [entry for entry in entries if entry.due]
        if args.json:
            at_zone = clock.to_zone(instant, self.zone).isoformat()
            shown = {
                'at': at_zone,
                'at_utc': instant.isoformat(),
                'path': cron_path(self.registry),
                'tasks': [entry.as_dict(at) for entry in entries],
            }
            self.out(json.dumps(shown, indent=2))
            return 0
        width = self.width()
        if args.next:
            lines = timeline(entries, self.zone, width, args.next)
        elif at:
            due = sum(entry.due for entry in entries)
            total = len(self.chosen())
            lines = [f'At {self.shown(instant)} {due} of {total} tasks are due.', *reasons(entries, width)]
        else:
            lines = table(entries, instant, self.zone, width, args.verbose) if entries else []
        if not len(self.tasks):
            lines = ['The application has no cron tasks.']
        paused = [entry.task.name for entry in entries if entry.is_paused]
        if args.next and paused:
            lines += wrapped('Paused: ', ', '.join(paused), width)
        end = f'Times are in {self.zone or LOCAL_TIME}. Trigger: {cron_path(self.registry)}'
        self.out('\n'.join([*lines, '', *wrapped('', end, width)]))
        return 0

    def show(self) -> int:
        """Explain one task."""
        names = self.named()
        if len(names) != 1:
            raise Refused("name one task; 'pcron list' shows their names")
        [entry] = self.overviews(self.minute(self.args.at), self.args.next, self.chosen())
        remembered = ['not remembered: set cron.store']
        settings = self.registry['cron_settings']
        if settings.store is not None:
            from pyramid_cron.scripts.history import last_lines

            try:
                remembered = last_lines(self.stored_claims(), names[0], entry.task.timezone)
            except Unavailable:
                # which was said
                remembered = []
        self.out('\n'.join(explained(entry, self.width(), remembered, settings.catch_up)))
        return 0
