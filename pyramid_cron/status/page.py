"""One status page, and the names by which its routes, templates and files are found."""

from __future__ import annotations

from typing import Any, NamedTuple

from pyramid_cron.run_addresses import SEGMENT

RENDERER = '.pyramid_cron_jinja2'
SETTINGS_PREFIX = 'pyramid_cron.jinja2.'
TEMPLATES = 'pyramid_cron:status/templates/'
# the template of an address that cannot be shown
REFUSAL = f'{TEMPLATES}refusal{RENDERER}'
STATIC = 'pyramid_cron:status/static/'

# the names of views, with their segments behind the path of the page
READ_VIEWS = {
    'tasks': '',
    'task': 'task',
    'due': 'due',
    'timeline': 'timeline',
    'history': 'history',
    'past_run': SEGMENT,
}
WRITE_VIEWS = {
    'run': 'run',
    'backfill': 'backfill',
    'pause': 'pause',
    'resume': 'resume',
    'acknowledge': 'acknowledge',
    'stop': 'stop',
    'pause_all': 'pause-all',
    'resume_all': 'resume-all',
}


class StatusPage(NamedTuple):
    """One status page of an application.

    :param path: its path, with the prefix that it is registered under.
    :param permission: the permission to see it.
    :param write_permission: the permission to run, pause and resume tasks; ``None`` for a page without buttons.
    """

    path: str
    permission: Any
    write_permission: Any

    def route(self, view: str) -> str:
        """Return the name of the route of one of its views."""
        return f'cron status {self.path} {view}'
