"""The commands of ``pcron`` that need the store: pauses, history, its check and its upgrade."""

from __future__ import annotations

import getpass

from pyramid_cron.orders import call_through
from pyramid_cron.printable import user_name
from pyramid_cron.scripts.arguments import require_known
from pyramid_cron.scripts.command import Command
from pyramid_cron.scripts.listing import wrap
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.times import TimeError, parse_minute


def login_name() -> str | None:
    """Return the name of the account that runs the command, ``None`` if it has none, as in some containers."""
    try:
        return user_name(getpass.getuser())
    except (OSError, LookupError, ImportError):
        return None


class StoreCommands(Command):
    """The commands that need ``cron.store``."""

    def pause(self) -> int:
        """Pause tasks."""
        store, now = self.require_store(), self.now()
        until = None
        if self.args.until is not None:
            try:
                until = parse_minute(self.args.until, now, self.zone, future=True)
            except TimeError as exc:
                raise UsageError(f'--until {exc}') from None
        names = self.require_task_names()
        require_known(names, self.tasks)
        try:
            store.pause(names, reason=self.args.reason, until=until, requested_by=login_name())
        except (LookupError, ValueError) as exc:
            raise UsageError(str(exc)) from None
        end = 'until it is resumed' if until is None else f'until {self.format_minute(until)}'
        for name in names:
            self.out(f'{name} is paused {end}')
        return 0

    def resume(self) -> int:
        """End the pauses of tasks."""
        store = self.require_store()
        names = self.require_task_names()
        # a paused task that has been renamed since can be resumed by its old name
        require_known(names, self.tasks, store.paused())
        resumed = store.resume(names, requested_by=login_name())
        for name in names:
            self.out(f'{name} {"is resumed" if name in resumed else "was not paused"}')
        return 0

    def forget(self) -> int:
        """Delete the rows and the pauses of tasks that are not registered."""
        store = self.require_store()
        names = self.require_task_names()
        registered = {task.name for task in self.tasks if task.store}
        for name in names:
            if name in registered:
                raise UsageError(f'{name} is registered here: remove it from the application first')
        require_known(names, (), store.states())
        for name in names:
            try:
                store.forget(name, requested_by=login_name())
            except (LookupError, ValueError) as exc:
                raise UsageError(str(exc)) from None
            self.out(f'{name} is forgotten')
        return 0

    def history(self) -> int:
        """Show the history."""
        store = self.require_store()
        # slow to import, and needs what the extra installs
        from pyramid_cron.scripts.history import history_text

        self.args.names = self.task_names()
        self.out(history_text(store, self.registry, self.now(), self.args, self.width()))
        return 0

    def manage_store(self) -> int:
        """Check the store, or upgrade its tables."""
        return self.upgrade_store() if self.args.action == 'upgrade' else self.check_store()

    def upgrade_store(self) -> int:
        """Create or upgrade the tables, or print the SQL that does it."""
        engine = self.require_store().database.engine
        from pyramid_cron.scripts.store_upgrade import upgrade_script, upgrade_tables

        self.out(upgrade_script(engine) if self.args.sql else upgrade_tables(engine))
        return 0

    def check_store(self) -> int:
        """Check whether the store can be used."""
        store = self.require_store()
        from pyramid_cron.store.check import check

        findings = []
        for finding in check(store, lambda call: call_through(self.app, self.registry, call)):
            findings.append(finding)
            start = f'{"ok" if finding.ok else "fail":4}  {finding.subject:8}  '
            self.out('\n'.join(wrap(start, finding.text, self.width())))
        return 0 if all(finding.ok for finding in findings) else 1
