"""One status page, and the names by which its routes, templates and files are found."""

from __future__ import annotations

from typing import Any, NamedTuple

RENDERER = '.pyramid_cron_jinja2'
SETTINGS_PREFIX = 'pyramid_cron.jinja2.'
TEMPLATES = 'pyramid_cron:status/templates/'
STATIC = 'pyramid_cron:status/static/'

# the names of views, with their segments behind the path of the page
READ_VIEWS = {'tasks': '', 'task': 'task', 'due': 'due'}
WRITE_VIEWS = {'run': 'run', 'pause': 'pause', 'resume': 'resume'}


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
