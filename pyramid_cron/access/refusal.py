"""A refused request: the reason and the remedy."""

from __future__ import annotations

from typing import NamedTuple

# kinds that pcron doctor explains further
WITHOUT_SECRET, THROUGH_PROXY, OTHER_ACCOUNTS = 'without the secret', 'through a proxy', 'from other accounts'


class Refusal(NamedTuple):
    """The reason why a request is refused.

    :param status: the HTTP status, 401, 403 or 405.
    :param kind: the words that all refusals for this reason share, such as ``'through a proxy'``.
    :param why: the reason, with what this request sent.
    :param remedy: how to make a request of this kind allowed. Like the kind, it contains nothing that the request sent.
    :param was_allowed: whether pyramid_cron 0.1 allowed requests of this kind.
    :param purpose: what the request is for, by the rules that refuse it.
    """

    status: int
    kind: str
    why: str
    remedy: str
    was_allowed: bool = False
    purpose: str = ''


def quoted(value: str | None) -> str:
    """Return ``value`` for a log line: quoted, without control characters, at most 80 characters of it."""
    return repr(value[:80] if value else value)
