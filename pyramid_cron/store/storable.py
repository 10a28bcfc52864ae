"""Texts that come from outside, such as the message of an exception: scrubbed, and in a form that the database takes.

Each of them passes through the type of its column. Of those that may hold more than a name, that type is
:class:`StorableText`, which scrubs them: no statement can store one as it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from sqlalchemy import Dialect, String, Text, TypeDecorator

from pyramid_cron.printable import encodable
from pyramid_cron.scrub import DEFAULT_SCRUBBER, Scrubber
from pyramid_cron.settings import LONGEST_LOG
from pyramid_cron.store.errors import Refused

# of a text without a limit of its own: MySQL's type holds 65,535 bytes
MOST_CHARACTERS = 16_000

Written = TypeVar('Written')

_only_ascii: ContextVar[bool] = ContextVar('only_ascii', default=False)
# of the application that executes the statement
_scrubber: ContextVar[Scrubber] = ContextVar('scrubber', default=DEFAULT_SCRUBBER)


class Storable(TypeDecorator[str]):
    """A short text, which is cut to the length of its column."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)[: self.most_characters]

    @property
    def most_characters(self) -> int:
        """How many characters the column takes."""
        return getattr(self.impl_instance, 'length', None) or MOST_CHARACTERS


class StorableText(Storable):
    """A text of any length, which is scrubbed, and of which the column keeps the beginning."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        # before it is cut, which might leave a part of what is to be taken out
        return super().process_bind_param(None if value is None else _scrubber.get()(value), dialect)


class StorableLog(StorableText):
    """The log of a run, which is cut to its end before it is bound."""

    cache_ok = True

    @property
    def most_characters(self) -> int:
        return LONGEST_LOG


@contextmanager
def scrubbed_by(scrubber: Scrubber) -> Iterator[None]:
    """Scrub the texts of the statements in the body of a ``with`` by this scrubber."""
    token = _scrubber.set(scrubber)
    try:
        yield
    finally:
        _scrubber.reset(token)


def storable(text: str) -> str:
    """Return a text without NUL and surrogates, which no database takes; in ASCII within :func:`ascii_if_refused`."""
    return encodable(text, 'ascii' if _only_ascii.get() else 'utf-8').replace('\x00', r'\x00')


def ascii_if_refused(write: Callable[[], Written]) -> Written:
    """Return what a function returns, called again with all texts in ASCII if the database refuses them.

    :param write: the function, which begins a transaction of its own.
    """
    try:
        return write()
    except Refused:
        token = _only_ascii.set(True)
        try:
            return write()
        finally:
            _only_ascii.reset(token)
