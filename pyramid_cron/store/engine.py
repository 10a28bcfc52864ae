"""The engine of the setting ``cron.store``: a small pool of its own, and time limits for everything."""

from __future__ import annotations

import re
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.path import DottedNameResolver
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import NoSuchModuleError

from pyramid_cron.callables import dotted_path
from pyramid_cron.store.conceal import conceal
from pyramid_cron.store.dialects import MOST_SECONDS, SQLITE, dialect_of
from pyramid_cron.store.errors import error_codes
from pyramid_cron.store.sqlite_file import is_in_memory, sqlite_file
from pyramid_cron.store.time_limit import limit_waits
from pyramid_cron.store.url import EXAMPLE, parse_url

BAD_OPTION = (
    'bad setting cron.store: SQLAlchemy or the driver refuses an option in its URL, behind the ?: compare names and '
    'values of the options with the documentation of the driver'
)
# after which a connection is replaced: it may lead to a server that its name does not lead to any more
RECYCLE_SECONDS = 600
# of an attribute of a module; with a colon only after a dot, so that it is not taken for the beginning of a URL
DOTTED_NAME = re.compile(r'\w+(\.\w+)+|\w+(\.\w+)+:\w+(\.\w+)*')


def make_engine(value: Any, registry: Any) -> Engine:
    """Return an engine for the setting ``cron.store``, with a pool of its own.

    :param value: a URL of SQLAlchemy, an engine, a function ``(registry) -> Engine``, or the dotted name of one.
    :raises pyramid.exceptions.ConfigurationError: if it is none of these, and for a database in memory or with a
        relative path; the message shows no part of a password.
    """
    if isinstance(value, URL) or (isinstance(value, str) and '://' in value):
        engine = _of_url(value)
    else:
        made = _made(_resolve(value) if isinstance(value, str) else value, registry)
        # an application whose own pool is used up must not keep the store from its heartbeats
        engine = create_engine(made.url, pool=made.pool.recreate(), hide_parameters=True, **_isolation(made.url))
    _require_same_file_everywhere(engine.url)
    dialect = dialect_of(engine.dialect.name)

    def limit(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        for statement in dialect.session_limits:
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    def disconnect(context: Any) -> None:
        if any(code in dialect.read_only_errors for code in error_codes(context.original_exception)):
            context.is_disconnect = True

    conceal(engine)
    event.listen(engine, 'connect', limit)
    if dialect is not SQLITE:
        event.listen(engine, 'handle_error', disconnect)
        limit_waits(engine)
    return engine


def _of_url(value: URL | str) -> Engine:
    url = parse_url(value)
    options: dict[str, Any] = {
        'pool_size': 2,
        'max_overflow': 3,
        'pool_timeout': MOST_SECONDS,
        'pool_recycle': RECYCLE_SECONDS,
    }
    try:
        known = dialect_of(url.get_backend_name()).connect_args
        arguments = {**known.get(url.get_backend_name(), {}), **known.get(url.get_driver_name(), {})}
        return create_engine(
            url,
            connect_args={name: value for name, value in arguments.items() if name not in url.query},
            hide_parameters=True,
            **_isolation(url),
            **({} if is_in_memory(url) else options),
        )
    except ImportError as exc:
        raise ConfigurationError(f'bad setting cron.store: {exc}; install the driver of {url.drivername}') from exc
    except NoSuchModuleError as exc:
        if 'plugin' in url.query:
            raise ConfigurationError(BAD_OPTION) from None
        raise ConfigurationError(f'bad setting cron.store: {exc}') from None
    except Exception:
        # of an option that cannot be converted, which the message shows
        raise ConfigurationError(BAD_OPTION) from None


def _resolve(name: str) -> Any:
    if not DOTTED_NAME.fullmatch(name):
        # perhaps a URL that is miswritten, which may hold a password
        raise ConfigurationError(
            f'bad setting cron.store: it is no URL such as {EXAMPLE}, and no dotted name of an engine or a function'
        )
    try:
        return DottedNameResolver().resolve(name)
    except Exception as exc:
        raise ConfigurationError(
            f'bad setting cron.store = {name!r}: no URL, and no name that resolves: {type(exc).__name__}: {exc}'
        ) from exc


def _made(value: Any, registry: Any) -> Engine:
    if isinstance(value, Engine):
        return value
    # by its type, because any other value may hold a password too
    if not callable(value):
        raise ConfigurationError(
            f'bad setting cron.store: a {type(value).__name__} is no URL, no engine of SQLAlchemy, '
            'and no function that returns one'
        )
    made = value(registry)
    if not isinstance(made, Engine):
        raise ConfigurationError(
            f'bad setting cron.store: {dotted_path(value)} returned a {type(made).__name__}, no engine of SQLAlchemy'
        )
    return made


def _isolation(url: URL) -> dict[str, str]:
    level = dialect_of(url.get_backend_name()).isolation_level
    return {} if level is None else {'isolation_level': level}


def _require_same_file_everywhere(url: URL) -> None:
    if is_in_memory(url):
        raise ConfigurationError(
            'bad setting cron.store: a database in memory is another one for each connection, and forgets; '
            'name a file, as in sqlite:///%(here)s/cron.sqlite, or leave the setting out'
        )
    file = sqlite_file(url)
    if file is not None and not file.is_absolute():
        # which ini files alone replace
        below = str(file).removeprefix('%(here)s/')
        raise ConfigurationError(
            f'bad setting cron.store: the path {file} is relative, so that servers and commands that start in two '
            f'folders have two stores and run all tasks twice; write sqlite:///%(here)s/{below} in the ini file, or an '
            'absolute path'
        )
