"""The acknowledgement in the row of a task: which failure it is for, and by which user, since when and why."""

from __future__ import annotations

import json
from datetime import datetime

from pyramid_cron.alarm import Acknowledged
from pyramid_cron.outcomes import FAILED


def failure_key(outcome: str | None, error: str | None = None) -> str:
    """Return what makes two failures the same for the user that acknowledges them.

    :param error: the class of the exception of a failed run.
    """
    return f'{outcome} {error}' if outcome == FAILED and error else str(outcome)


def write_acknowledged(acknowledged: Acknowledged) -> str:
    """Return the acknowledgement of a failure as a text."""
    since = acknowledged.since and acknowledged.since.isoformat()
    return json.dumps({'by': acknowledged.requested_by, 'since': since, 'reason': acknowledged.reason})


def read_acknowledged(text: str | None) -> Acknowledged:
    """Return the acknowledgement in such a text, as far as it can be read: ``cron.scrub`` may have changed it."""
    try:
        found = json.loads(text or '')
        since = found['since'] and datetime.fromisoformat(found['since'])
        return Acknowledged(found['reason'], found['by'], since)
    except (KeyError, TypeError, ValueError):
        return Acknowledged(text or '', None, None)
