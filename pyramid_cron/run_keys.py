"""The key of a run: one text for its application, its task, and its minute or its token."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from uuid import uuid4

from pyramid_cron.claims import Delivery
from pyramid_cron.history_entries import BACKFILL, PastRun

KEY = re.compile(r'(?P<task>.+)@(?:(?P<minute>\d{4}-\d\d-\d\dT\d\d:\d\dZ)|(?P<token>[0-9a-f]{32}))', re.DOTALL)
# the digits that all tokens of a run share; the others differ from claim to claim
KEY_DIGITS, TOKEN_DIGITS = 22, 32
MINUTE_FORMAT = '%Y-%m-%dT%H:%MZ'


def write_key(app: str, task: str, minute: datetime | None, token: str | None) -> str:
    """Return the key of a run, which :func:`read_key` reads.

    :param app: the name of the application.
    :param task: the name of the task.
    :param minute: the minute that the run is for, aware; ``None`` for a run that was requested by name.
    :param token: a fencing token of a run without a minute; a random one if it is ``None``.
    """
    which = minute.astimezone(timezone.utc).strftime(MINUTE_FORMAT) if minute else key_token(token or uuid4().hex)
    return f'{app}:{task}@{which}'


def read_key(app: str, key: str) -> Delivery:
    """Return the task and the minute or token of a key.

    :param app: the name of the application that the key has to belong to.
    :raises ValueError: if the text is not a key of this application.
    """
    match = KEY.fullmatch(key.removeprefix(f'{app}:')) if isinstance(key, str) else None
    if match is None or not key.startswith(f'{app}:'):
        raise ValueError(f'{key!r} is no key of {app}, such as {app}:task@2026-11-24T02:00Z')
    minute = None
    if match['minute']:
        try:
            minute = datetime.strptime(match['minute'], MINUTE_FORMAT).replace(tzinfo=timezone.utc)
        except ValueError:
            raise ValueError(f'{key!r} names a minute that does not exist') from None
    return Delivery(match['task'], minute, match['token'])


def key_token(token: str) -> str:
    """Return the token in the key of a run: the same for all claims of the run.

    :param token: a fencing token of the run, 32 hexadecimal digits.
    """
    return token[:KEY_DIGITS].ljust(TOKEN_DIGITS, '0')


def same_run(one: str, other: str) -> bool:
    """Return whether two fencing tokens, or those of keys, are of one run."""
    return key_token(one) == key_token(other)


def key_of(app: str, run: PastRun) -> str:
    """Return the key of a past run, empty if it did not begin and was not queued."""
    if not run.attempt:
        return ''
    # a key with a minute is that of a tick
    return write_key(app, run.task, None if run.trigger == BACKFILL else run.scheduled_for, run.id)


def is_key(app: str, word: str) -> bool:
    """Return whether a word is meant as the key of a run of an application, and not as the name of a task."""
    return word.startswith(f'{app}:') and KEY.fullmatch(word) is not None
