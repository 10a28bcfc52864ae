"""The commands of ``pcron`` that are about the store: pausing, history, and whether it can be used."""

from __future__ import annotations

import getpass

from pyramid_cron.orders import call_through
from pyramid_cron.scripts.arguments import require_known
from pyramid_cron.scripts.command import Command
from pyramid_cron.scripts.listing import wrapped
from pyramid_cron.scripts.loading import Refused
from pyramid_cron.times import TimeError, parse_minute


def login_name() -> str | None:
    """Return the name of the account that runs the command, ``None`` if it has none, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, LookupError, ImportError):
        return None


class StoreCommands(Command):
    """The commands that need ``cron.store``."""

    def pause(self) -> int:
        """Let tasks not run for a while."""
        claims, now = self.stored_claims(), self.now()
        until = None
        if self.args.until is not None:
            try:
                until = parse_minute(self.args.until, now, self.zone, future=True)
            except TimeError as exc:
                raise Refused(f'--until {exc}') from None
        reason = self.args.reason.strip()
        if not reason:
            raise Refused('--reason has to say why, for whoever looks at the tasks')
        names = self.named_at_least_one()
        require_known(names, self.tasks)
        try:
            claims.pause(names, reason=reason, until=until, requested_by=login_name())
        except LookupError as exc:
            raise Refused(str(exc)) from None
        lasts = 'until it is resumed' if until is None else f'until {self.shown(until)}'
        for name in names:
            self.out(f'{name} is paused {lasts}')
        return 0

    def resume(self) -> int:
        """End the pauses of tasks."""
        claims = self.stored_claims()
        names = self.named_at_least_one()
        # what was paused and renamed since can be resumed too
        require_known(names, self.tasks, claims.paused())
        resumed = claims.resume(names, requested_by=login_name())
        for name in names:
            self.out(f'{name} {"is resumed" if name in resumed else "was not paused"}')
        return 0

    def history(self) -> int:
        """Show what is remembered."""
        claims = self.stored_claims()
        # slow to import, and needs what the extra installs
        from pyramid_cron.scripts.history import history

        self.args.names = self.named()
        self.out(history(claims, self.tasks, self.zone, self.now(), self.args, self.width()))
        return 0

    def check_store(self) -> int:
        """Say whether the store can be used."""
        claims = self.stored_claims()
        from pyramid_cron.store.check import check

        findings = []
        for finding in check(claims, lambda call: call_through(self.app, self.registry, call)):
            findings.append(finding)
            start = f'{"ok" if finding.ok else "fail":4}  {finding.subject:8}  '
            self.out('\n'.join(wrapped(start, finding.text, self.width())))
        return 0 if all(finding.ok for finding in findings) else 1
