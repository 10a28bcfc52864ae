"""The URL of ``cron.store``: what is malformed is refused, and no error shows a part of its secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from pyramid.exceptions import ConfigurationError
from sqlalchemy import URL, Engine, make_url
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
# options in the query of a URL that are no secrets, and that errors have to name
PLAIN_OPTIONS = frozenset({'host', 'hostaddr', 'unix_socket'})
PASSWORDS = frozenset({'password', 'passwd', 'pwd'})
# an option behind a path, of which the value has the last @
OPTION = re.compile(r'/[^?]*\?[^=]*=')
SHORT_NUMBER = re.compile(r'\d{1,5}')
CONCEALED = '***'
# of OSError and ImportError, which show them in place of their arguments
SHOWN_ATTRIBUTES = ('strerror', 'filename', 'filename2', 'msg')


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


def conceal(engine: Engine) -> None:
    """Take the password and the options in the URL of an engine out of errors of its driver when it connects.

    The exceptions themselves are changed, so that no message, log or traceback shows them.
    """
    secrets = _secrets(engine.url)
    if not secrets:
        return
    pattern = re.compile('|'.join(_whole(secret) for secret in sorted(secrets, key=len, reverse=True)))
    connect = engine.raw_connection

    def raw_connection() -> Any:
        try:
            return connect()
        except Exception as exc:
            _conceal(exc, pattern)
            raise

    # each connection of the engine is made by it
    engine.raw_connection = raw_connection  # type: ignore[method-assign]


def _secrets(url: URL) -> set[str]:
    found = set() if url.password is None else {str(url.password)}
    for name, values in url.query.items():
        if name.lower() not in PLAIN_OPTIONS:
            found.update([values] if isinstance(values, str) else values)
    # such as the seconds of a time limit, which stand in addresses too
    found = {secret for secret in found if secret == url.password or not SHORT_NUMBER.fullmatch(secret)}
    if not PASSWORDS.isdisjoint(map(str.lower, url.query)):
        # what looks like another option may be the rest of a password with an &
        found.update(name for name in url.query if name.lower() not in PLAIN_OPTIONS | PASSWORDS)
    return {form for secret in found for form in _written(secret) if form}


def _written(secret: str) -> tuple[str, ...]:
    """Return the forms in which errors may show a secret."""
    # SQLAlchemy has a form of its own, which depends on its release
    in_url = URL.create('x', 'x', secret).render_as_string(hide_password=False)
    return (
        secret,
        repr(secret)[1:-1],
        quote(secret),
        quote_plus(secret),
        in_url.removeprefix('x://x:').removesuffix('@'),
    )


def _whole(secret: str) -> str:
    """Return the pattern of a secret that is no part of a longer word: short ones would be found everywhere."""
    begin = r'(?<!\w)' if re.match(r'\w', secret) else ''
    end = r'(?!\w)' if re.match(r'\w', secret[-1]) else ''
    return f'{begin}{re.escape(secret)}{end}'


def _conceal(exc: BaseException | None, pattern: re.Pattern[str]) -> None:
    """Conceal what a pattern matches in the messages of an exception and of those that it was raised from."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        if isinstance(exc, (UnicodeEncodeError, UnicodeDecodeError)):
            # which shows a character of what it could not convert
            exc.object = exc.object[:0]
        exc.args = tuple(pattern.sub(CONCEALED, arg) if isinstance(arg, str) else arg for arg in exc.args)
        for name in SHOWN_ATTRIBUTES:
            value = getattr(exc, name, None)
            if isinstance(value, str):
                setattr(exc, name, pattern.sub(CONCEALED, value))
        original = getattr(exc, 'orig', None)
        if original is not None:
            _conceal(original, pattern)
        exc = exc.__cause__ or exc.__context__
