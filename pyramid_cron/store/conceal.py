"""Errors of drivers when they connect, which show no part of the password and of the options in the URL."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, Engine

# options in the query of a URL that are no secrets, and that errors have to name
PLAIN_OPTIONS = frozenset({'host', 'hostaddr', 'unix_socket'})
PASSWORDS = frozenset({'password', 'passwd', 'pwd'})
SHORT_NUMBER = re.compile(r'\d{1,5}')
CONCEALED = '***'
# of OSError and ImportError, which show them in place of their arguments
SHOWN_ATTRIBUTES = ('strerror', 'filename', 'filename2', 'msg')


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

    # each connection of the engine is made by it, and no event of SQLAlchemy has the errors of a creator= of the engine
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
