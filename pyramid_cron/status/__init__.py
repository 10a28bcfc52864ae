"""A page of all tasks, with their schedules and runs: ``config.include('pyramid_cron.status')``."""

from __future__ import annotations

from typing import Any

from pyramid.events import ApplicationCreated
from pyramid.exceptions import ConfigurationError

from pyramid_cron.status.directives import add_cron_status
from pyramid_cron.status.page import RENDERER, SETTINGS_PREFIX

__all__ = ['add_cron_status', 'includeme']


def includeme(config: Any) -> None:
    """Add the directive ``add_cron_status``, and a renderer for the templates of the page.

    :raises pyramid.exceptions.ConfigurationError: if pyramid_jinja2 is not installed.
    """
    try:
        import pyramid_jinja2
    except ImportError as exc:
        raise ConfigurationError(f"pyramid_cron.status: {exc}; run: pip install 'pyramid_cron[status]'") from exc

    # with a suffix and settings of its own, which do not change the renderers of the application
    pyramid_jinja2.add_jinja2_renderer(config, RENDERER, SETTINGS_PREFIX)
    config.add_settings({SETTINGS_PREFIX + name: value for name, value in ENVIRONMENT.items()})
    config.add_directive('add_cron_status', add_cron_status)
    config.add_subscriber(_keep_application, ApplicationCreated)


# a misspelt name in a template is an error, and blocks leave no empty lines
ENVIRONMENT = {'undefined': 'strict', 'trim_blocks': 'true', 'lstrip_blocks': 'true'}


def _keep_application(event: Any) -> None:
    # the button that runs a task requests it through the whole application
    event.app.registry['cron_status_app'] = event.app
