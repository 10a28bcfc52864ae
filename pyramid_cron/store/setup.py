"""Sets up the store of an application from its settings."""

from __future__ import annotations

import functools
from typing import Any

from pyramid_cron.events import notify
from pyramid_cron.isolation import OF_SERVERS
from pyramid_cron.memory_claims import MemoryClaims
from pyramid_cron.scrub import scrubber_of
from pyramid_cron.settings import Settings, app_name
from pyramid_cron.store.admin import Store
from pyramid_cron.store.claims import StoreClaims
from pyramid_cron.store.claims_by_task import ClaimsByTask
from pyramid_cron.store.database import Database
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.options import Options


def use_store(registry: Any, settings: Settings) -> None:
    """Register the claims and the store of an application. The database is not used before a tick.

    :raises pyramid.exceptions.ConfigurationError: if no engine can be made of the setting ``cron.store``.
    """
    app = app_name(settings, registry)
    engine = make_engine(settings.store, registry)
    database = Database(engine, app, settings.create_tables, scrubber_of(registry, settings))
    options = Options(
        app=app,
        catch_up=settings.catch_up,
        lease=settings.lease,
        keep_history=settings.keep_history,
        session=settings.session,
        zone=settings.timezone,
        window=settings.window,
        keep_log=settings.keep_log,
        notify=functools.partial(notify, registry, exits=OF_SERVERS),
    )
    failed_ticks = FailedTicks()
    registry['cron_claims'] = ClaimsByTask(
        StoreClaims(database, options, failed_ticks), MemoryClaims(window=settings.window)
    )
    registry['cron_store'] = Store(database, options, failed_ticks, registry['cron_tasks'])
