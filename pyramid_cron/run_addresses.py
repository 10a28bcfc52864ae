"""The address of the page of a run: its query, and all of it where ``cron.url`` is set."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from pyramid_cron.history_entries import PastRun
from pyramid_cron.run_keys import write_key

#: the category of the introspectables of status pages
STATUS_PAGES = 'cron status pages'
#: the path of the page of a run, behind that of the status page
SEGMENT = 'history/run'


class RunLink(NamedTuple):
    """What the page of a run, or of a due minute without one, is found by.

    :param task: the name of the task.
    :param minute: the minute; ``None`` for a run by name.
    :param id: the id of the record; ``None`` for the newest of the minute.
    """

    task: str
    minute: datetime | None
    id: str | None = None


def link_of(run: PastRun) -> RunLink:
    """Return the link to the page of a past run."""
    return RunLink(run.task, run.scheduled_for, run.id)


def run_query(app: str, link: RunLink) -> str:
    """Return the query of the page of a run: its key, and the id of one of several records of its minute.

    :param app: the name of the application in the store.
    """
    task, minute, run_id = link
    key = write_key(app, task, minute, run_id)
    # readable: these are allowed in a query as they are
    query = f'key={quote(key, safe=":@")}'
    return query if minute is None or run_id is None else f'{query}&id={quote(run_id)}'


def run_address(registry: Any, app: str, run: PastRun) -> str:
    """Return the address of the page of a run; empty without ``cron.url`` or without a status page.

    :param app: the name of the application in the store.
    """
    url = registry['cron_settings'].url
    pages = registry.introspector.get_category(STATUS_PAGES, default=())
    if url is None or not pages:
        return ''
    path = quote(pages[0]['introspectable']['path'])
    return f'{url.text}{path}/{SEGMENT}?{run_query(app, link_of(run))}'
