"""A page that shows what runs when and what became of it: ``config.include('pyramid_cron.status')``."""

from __future__ import annotations

from typing import Any

from pyramid.events import ApplicationCreated
from pyramid.exceptions import ConfigurationError

from pyramid_cron.status.directives import RENDERER, SETTINGS_PREFIX, add_cron_status

__all__ = ['add_cron_status', 'includeme']


def includeme(config: Any) -> None:
    """Add the directive ``add_cron_status``, and a renderer for the templates of the page.

    :raises pyramid.exceptions.ConfigurationError: if pyramid_jinja2 is not installed.
    """
    try:
        import pyramid_jinja2
    except ImportError as exc:
        raise ConfigurationError(f"pyramid_cron.status: {exc}; run: pip install 'pyramid_cron[status]'") from exc

    # a suffix and settings of its own leave the renderers of the application alone, and are left alone by it
    pyramid_jinja2.add_jinja2_renderer(config, RENDERER, SETTINGS_PREFIX)
    config.add_settings({SETTINGS_PREFIX + name: value for name, value in ENVIRONMENT.items()})
    config.add_directive('add_cron_status', add_cron_status)
    config.add_subscriber(_remember_application, ApplicationCreated)


# a misspelt name in a template is an error, and blocks leave no empty lines
ENVIRONMENT = {'undefined': 'strict', 'trim_blocks': 'true', 'lstrip_blocks': 'true'}


def _remember_application(event: Any) -> None:
    # through which a task is run that somebody asks for
    event.app.registry['cron_status_app'] = event.app
