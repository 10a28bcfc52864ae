"""The commands of ``pcron`` that need the store: pauses, history, its check and its upgrade."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pyramid_cron.claims import Delivery
from pyramid_cron.errors import Unavailable
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.orders import call_through
from pyramid_cron.run_keys import is_key, read_key
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.arguments import require_known
from pyramid_cron.scripts.columns import wrap
from pyramid_cron.scripts.command import Command
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.scripts.login import login_name
from pyramid_cron.scripts.typed_names import KnownNames
from pyramid_cron.task_texts import format_pause, format_stopped
from pyramid_cron.times import TimeError, format_until, parse_past, parse_until


def _subject(name: str) -> str:
    return 'all tasks are' if name == ALL_TASKS else f'{name} is'


class StoreCommands(Command):
    """The commands that need ``cron.store``."""

    def is_taken_as_it_is(self, word: str) -> bool:
        """Return whether a word is the key of a run, or a name that is only in the history."""
        if self.args.command == 'stop':
            return is_key(self.require_store().options.app, word)
        if self.args.command != 'history':
            return False
        with self.require_store().queries() as queries:
            return queries is not None and queries.has_entries(word)

    def pause(self) -> int:
        """Pause tasks, or all tasks."""
        store, now = self.require_store(), self.now()
        until = None
        if self.args.until is not None:
            try:
                until = parse_until(self.args.until, now, self.zone)
            except TimeError as exc:
                raise UsageError(f'--until {exc}') from None
        names = self._require_names_or_all()
        if not self.args.all:
            self.require_registered(names)
        try:
            replaced = store.pause(names, reason=self.args.reason, until=until, requested_by=login_name())
        except (LookupError, ValueError) as exc:
            raise UsageError(str(exc)) from None
        for name in names:
            end = format_until(until, now, self.zone, several=name == ALL_TASKS)
            old = f'; that replaces the pause {format_pause(replaced[name], self.zone)}' if name in replaced else ''
            self.out(f'{_subject(name)} paused {end}{old}')
        if self.args.all:
            for task in self.tasks:
                if not task.store:
                    self.out(f'{task.name} is not paused: store=False leaves it to each process')
        return 0

    def resume(self) -> int:
        """End the pauses of tasks, or that of all tasks."""
        store = self.require_store()
        names = self._require_names_or_all()
        if not self.args.all:
            # a paused task that has been renamed since can be resumed by its old name
            require_known(names, self.tasks, {*store.paused(), *self.unregistered_names()} - {ALL_TASKS})
        resumed = store.resume(names, requested_by=login_name())
        for name in names:
            was_not = 'there was no pause of all tasks' if name == ALL_TASKS else f'{name} was not paused'
            self.out(f'{_subject(name)} resumed' if name in resumed else was_not)
        for name, pause in store.paused().items():
            if self.args.all:
                self.out(f'{name} is still paused by itself, {format_pause(pause, self.zone)}')
            elif name == ALL_TASKS:
                self.out(f'all tasks are still paused, {format_pause(pause, self.zone)}; pcron resume --all ends that')
        return 0

    def acknowledge(self) -> int:
        """Acknowledge the last failures of tasks."""
        store = self.require_store()
        names = self.require_task_names()
        self.require_registered(names)
        try:
            store.acknowledge(names, reason=self.args.reason, requested_by=login_name())
        except (LookupError, ValueError) as exc:
            raise UsageError(str(exc.args[0])) from None
        for name in names:
            self.out(f'the failure of {name} is acknowledged')
        return 0

    def stop(self) -> int:
        """End queued runs of tasks, and request that runs in progress end."""
        store, status = self.require_store(), 0
        app, words = store.options.app, self.require_task_names()
        wanted = [Delivery(word, None) if not is_key(app, word) else read_key(app, word) for word in words]
        others = self.other_names()
        wanted = [delivery._replace(task=others.get(delivery.task, delivery.task)) for delivery in wanted]
        require_known([delivery.task for delivery in wanted], self.tasks, store.states())
        for delivery in wanted:
            only = None if (delivery.minute, delivery.token) == (None, None) else delivery
            try:
                stop = store.stop(delivery.task, requested_by=login_name(), delivery=only)
            except (LookupError, ValueError) as exc:
                self.warn(str(exc.args[0]))
                status = 1
            else:
                self.out(format_stopped(stop, store.options.lease, self.zone))
        return status

    def _require_names_or_all(self) -> Sequence[str]:
        """Return the names of the tasks, that of all tasks with ``--all``.

        :raises UsageError: for both, and for neither.
        """
        names = self.task_names()
        if not self.args.all:
            return self.require_task_names()
        if names:
            raise UsageError(f'--all means all tasks: leave {", ".join(names)} out, or --all')
        return [ALL_TASKS]

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
        self.out(history_text(store, self.registry, self.now(), self.args, self.table_width()))
        return 0

    def audit(self) -> int:
        """Show what became of each due minute of a task."""
        store = self.require_store()
        # slow to import, and needs what the extra installs
        from pyramid_cron.scripts.audit import audit_json, audit_text
        from pyramid_cron.store.due_records import NoRow, TooMany, read_account

        names = self.task_names()
        if len(names) != 1:
            raise UsageError('name the one task to audit')
        require_known(names, self.tasks, store.states())
        [name], now = names, self.now()
        task = next((task for task in self.tasks if task.name == name), None)
        if task is not None and not task.store:
            raise UsageError(f'{name} is not kept in cron.store (store=False): nothing is recorded of it')
        first, last = self._parse_past('since', now), now if self.args.until is None else self._parse_past('until', now)
        if last < first:
            raise UsageError(f'--until {self.args.until!r} is before --since {self.args.since!r}')
        try:
            account = read_account(store, name, task, clock.minute_of(first), clock.minute_of(last), now)
        except NoRow:
            self.warn(f'nothing is known of {name}: no tick has come that knew it')
            return 1
        except TooMany as exc:
            raise UsageError(str(exc)) from None
        if self.args.json:
            self.out(audit_json(name, account, self.zone))
        else:
            keep = store.options.keep_history
            self.out(audit_text(name, account, keep, self.zone, self.width(), self.args.verbose))
        return 0 if account.is_good else 1

    def _parse_past(self, option: str, now: datetime) -> datetime:
        """Return the instant that an option names."""
        text = getattr(self.args, option)
        try:
            return parse_past(text, now, self.zone)
        except TimeError as exc:
            raise UsageError(f'--{option} {exc}') from None

    def plan_deploy(self) -> int:
        """Compare the code with the store, and show what a deploy of it does."""
        store = self.require_store()
        # slow to import, and needs what the extra installs
        from pyramid_cron.scripts.plan import DeployPlan, plan_json, plan_text
        from pyramid_cron.store.deploy_plan import plan_deploy
        from pyramid_cron.store.older_tables import read_stored_tasks

        stored, instant, database = read_stored_tasks(store.database), self.current_minute(), store.database
        registered = {task.name for task in self.tasks}
        known = KnownNames(registered, unregistered=stored.states.keys() - registered)
        gone = [self.resolve(word, known) for word in self.args.gone]
        for name in gone:
            if name in registered:
                raise UsageError(f'--gone {name}: it is registered here; leave the option out')
            if name not in stored.states:
                # no error: the script of the next deploy may still have the option when the row has been deleted
                self.warn(f'--gone {name}: the store has no such task, and nothing is confirmed')
        planned = plan_deploy(self.tasks, stored, instant, gone)
        plan = DeployPlan(planned, stored, database.app, database.creates_tables, instant, self.zone)
        self.out(plan_json(plan) if self.args.json else plan_text(plan, self.width()))
        if plan.changes and not stored.is_outdated:
            try:
                store.record_plan(plan.changes, requested_by=login_name())
            except Unavailable as exc:
                # an account that may only read can make a plan
                self.warn(f'the history does not have this plan: {exc}')
        return plan.status

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
        """Check whether the store can be used, and what enqueues the runs that it keeps."""
        store = self.require_store()
        from pyramid_cron.doctor.findings import FAIL
        from pyramid_cron.doctor.queues import examine_queues
        from pyramid_cron.store.check import check

        findings = []
        for finding in check(store, lambda call: call_through(self.app, self.registry, call), self.args.config_uri):
            findings.append(finding)
            start = f'{finding.status:4}  {finding.subject:8}  '
            below = [f'{" " * len(start)}{line}' for line in finding.lines]
            self.out('\n'.join([*wrap(start, finding.text, self.width()), *below]))
        engines_work = True
        for found in examine_queues(self.registry):
            engines_work &= found.status != FAIL
            self.out('\n'.join(wrap(f'{found.status:4}  {found.topic:8}  ', str(found), self.width())))
        return 0 if engines_work and all(finding.ok for finding in findings) else 1
