"""Runs that outlive the process: found by its name, where ``cron.store`` is set."""

from __future__ import annotations

import functools
from typing import Any

from pyramid_cron.events import notify
from pyramid_cron.isolation import OF_SERVERS
from pyramid_cron.settings import Settings, app_name
from pyramid_cron.store.claims import StoreClaims
from pyramid_cron.store.complete import Fenced
from pyramid_cron.store.database import Database, make_engine
from pyramid_cron.store.schema import metadata
from pyramid_cron.store.session import NotJoined
from pyramid_cron.store.turns import Options

__all__ = ['Fenced', 'NotJoined', 'make_claims', 'metadata']


def make_claims(registry: Any, settings: Settings) -> StoreClaims:
    """Return the claims of an application whose settings name a store. The database is not asked before a tick.

    :raises pyramid.exceptions.ConfigurationError: if no engine can be made of the setting.
    """
    database = Database(make_engine(settings.store, registry), settings.create_tables)
    options = Options(
        app=app_name(settings, registry),
        catch_up=settings.catch_up,
        lease=settings.lease,
        keep_history=settings.keep_history,
        session=settings.session,
        zone=settings.timezone,
        tell=functools.partial(notify, registry, exits=OF_SERVERS),
    )
    return StoreClaims(database, options)
