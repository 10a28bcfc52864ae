"""The checks of a service: that of the whole application, and that of each task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, urlencode, urlsplit

from pyramid_cron.names import ALL_TASKS
from pyramid_cron.settings import Settings
from pyramid_cron.slugs import check_distinct, check_slug, slug_of
from pyramid_cron.task_lines import OFF, TaskLines

if TYPE_CHECKING:
    from pyramid_cron.tasks import Task

# what a ping reports, and what the URL ends with for that
SUCCESS, START, FAIL, LOG = '', '/start', '/fail', '/log'
SLOT = '{slug}'
LONGEST_SLUG = 100
EXAMPLE = 'https://hc-ping.com/UUID'


class Check(NamedTuple):
    """A check.

    :param parts: its URL.
    """

    parts: SplitResult

    @classmethod
    def parse(cls, text: str, slug: str = SLOT) -> Check:
        """Return the check of a URL.

        :param slug: what is written in it in place of the slot.
        :raises ValueError: if it is not an http or https URL. The message does not show it.
        """
        url = text.replace(SLOT, slug)
        parts = urlsplit(url)
        # raises a ValueError of its own
        port = parts.port
        if parts.scheme not in ('http', 'https') or not parts.hostname or port == 0:
            raise ValueError(f'it has to be a URL such as {EXAMPLE}')
        if not url.isascii() or not url.isprintable() or any(c in ' {}' for c in url) or parts.fragment:
            raise ValueError(f'the URL may have no blank, no part after a #, and no brace but for {SLOT} of a task')
        if '@' in parts.netloc:
            raise ValueError('the URL may have no user and no password')
        if urlsplit(text).path.endswith((START, FAIL, LOG)):
            raise ValueError('leave out the last part of the path: it is added to report a start, a failure or a text')
        return cls(parts)

    def url(self, signal: str, run: str | None = None) -> str:
        """Return the URL that reports a signal.

        :param signal: one of the constants above.
        :param run: a UUID that the start and the end of a run share.
        """
        query = [*filter(None, [self.parts.query, run and urlencode({'rid': run})])]
        return self.parts._replace(path=self.parts.path.rstrip('/') + signal, query='&'.join(query)).geturl()


class Checks:
    """The checks that the settings name.

    :param settings: the settings of the application.
    :raises ValueError: for a bad value, with the setting and without the value, which is secret.
    """

    def __init__(self, settings: Settings) -> None:
        #: that of the whole application, ``None`` without one
        self.of_all: Check | None = None
        if settings.healthchecks is not None:
            try:
                self.of_all = Check.parse(settings.healthchecks)
            except ValueError as exc:
                raise ValueError(f'bad setting cron.healthchecks: {exc}') from None
        self._lines: TaskLines = settings.healthchecks_tasks
        self._found: dict[str, Check | None] = {}
        for name in (*self._lines.by_name, *([] if self._lines.others is None else [ALL_TASKS])):
            try:
                self._parse(name)
            except ValueError as exc:
                raise ValueError(f'bad setting cron.healthchecks_tasks: the line of {name!r}: {exc}') from None

    def of_task(self, name: str) -> Check | None:
        """Return the check of a task, ``None`` without one."""
        if name not in self._found:
            self._found[name] = self._parse(name)
        return self._found[name]

    def check_tasks(self, tasks: Iterable[Task]) -> None:
        """Check that each line is for a task, and that no two tasks share a check.

        :raises ValueError: if that is not so.
        """
        tasks = list(tasks)
        try:
            self._lines.check_names(tasks)
            found = ((task.name, self.of_task(task.name)) for task in tasks)
            check_distinct(((name, check.url(SUCCESS)) for name, check in found if check is not None), 'check')
        except ValueError as exc:
            raise ValueError(f'bad setting cron.healthchecks_tasks: {exc}') from None

    def _parse(self, name: str) -> Check | None:
        value, others = self._lines.value_of(name), self._lines.others
        if value is None or value == OFF:
            return None
        if value == others and SLOT not in value:
            raise ValueError(f'it needs {SLOT}, as in https://hc-ping.com/KEY/{SLOT}: all tasks would share one check')
        slug = slug_of(name, LONGEST_SLUG)
        if '://' not in value:
            if others is None or others == OFF:
                raise ValueError(
                    f'it is neither {OFF} nor a URL such as {EXAMPLE}; a slug needs a line for {ALL_TASKS}'
                )
            slug, value = check_slug(value, LONGEST_SLUG), others
        return Check.parse(value, slug)
