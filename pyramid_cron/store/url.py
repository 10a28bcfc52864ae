"""The URL of ``cron.store``: parsed strictly, because a malformed one may have a part of a password anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyramid.exceptions import ConfigurationError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from pyramid_cron.printable import UNSAFE
from pyramid_cron.store.dialects import SQLITE, dialect_of

EXAMPLE = 'postgresql+psycopg://user@host/name'
MALFORMED = (
    f'bad setting cron.store: it is no URL such as {EXAMPLE}; its port has to be a number from 1 to 65535, and in a '
    'password @ is written %40, / %2F, : %3A, # %23, ? %3F and % %25, which is %%25 in an ini file'
)

# of a host name that is a part of a password, because that has an @ or a / of its own
NO_HOST = re.compile(r'[\s@/?#"\'\[\]]')
# an option behind a path, of which the value has the last @
OPTION = re.compile(r'/[^?]*\?[^=]*=')


def parse_url(value: URL | str) -> URL:
    """Return the URL of a text.

    :raises pyramid.exceptions.ConfigurationError: if it is malformed, or if a password with special characters has been
        read as another part of it, which errors of drivers would show; the message shows no part of it.
    """
    try:
        url = make_url(value)
        is_well_formed = _is_well_formed(url) and (isinstance(value, URL) or _is_read_as_written(url, value))
    except (SQLAlchemyError, ValueError, TypeError):
        is_well_formed = False
    if not is_well_formed:
        raise ConfigurationError(MALFORMED)
    return url


def _is_well_formed(url: URL) -> bool:
    parts = [url.username, url.password, url.host, url.database, *_options(url)]
    if any(UNSAFE.search(str(part)) for part in parts if part is not None):
        return False
    if _is_file(url):
        return (url.username, url.password, url.host, url.port) == (None,) * 4
    return (
        (url.host is None or NO_HOST.search(url.host) is None)
        and (url.port is None or 0 < url.port < 65536)
        # a user without the password
        and not ('@' in (url.username or '') and url.password is None)
    )


def _is_read_as_written(url: URL, text: str) -> bool:
    """Return whether the last @ of a text is the one before the host: SQLAlchemy takes the first one after a colon."""
    scheme, _, rest = text.partition('://')
    credentials, _, behind = rest.rpartition('@')
    parts = [(found.host, found.port, found.database, found.query) for found in (url, make_url(f'{scheme}://{behind}'))]
    return _is_file(url) or (parts[0] == parts[1] and OPTION.search(credentials) is None)


def _is_file(url: URL) -> bool:
    return dialect_of(url.get_backend_name()) is SQLITE


def _options(url: URL) -> Iterator[str]:
    for name, values in url.query.items():
        yield name
        yield from [values] if isinstance(values, str) else values
