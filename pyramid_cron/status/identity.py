"""The identity of a page: the application, its environment, and the host and the versions that have made it."""

from __future__ import annotations

import functools
import importlib.metadata
import socket
from typing import Any, NamedTuple

from pyramid_cron.settings import app_name

LIBRARY = 'pyramid_cron'


class Identity(NamedTuple):
    """What a page is about.

    :param app: the name of the application.
    :param version: its version; empty if its package is not installed as a distribution of the same name.
    :param environment: the setting ``cron.environment``, empty if it is not set.
    :param host: the machine that has made the page.
    :param library: the name and the version of this library.
    """

    app: str
    version: str
    environment: str
    host: str
    library: str

    def __str__(self) -> str:
        of_app = ' '.join(filter(None, [self.app, self.version, self.environment]))
        return f'{of_app} on {self.host}, {self.library}'


def identify(registry: Any) -> Identity:
    """Return what the pages of an application are about."""
    settings = registry['cron_settings']
    return Identity(
        app=app_name(settings, registry),
        version=version_of(registry.package_name.partition('.')[0]),
        environment=settings.environment or '',
        host=socket.gethostname(),
        library=' '.join(filter(None, [LIBRARY, version_of(LIBRARY)])),
    )


@functools.lru_cache(maxsize=8)
def version_of(distribution: str) -> str:
    """Return the version of a distribution, empty if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ''
