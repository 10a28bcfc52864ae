"""Requests that runs of a process end, as a text in the row of that process, which each heartbeat updates.

They are not in the row of the task: under REPEATABLE READ the transaction of a run that has joined it would fail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache

from pyramid_cron.stopping import StopRequest

# requests that are kept of a process: those of runs that have ended are not removed otherwise
MOST_REQUESTS = 20


@lru_cache(20)
def read_stops(text: str | None) -> Mapping[str, StopRequest]:
    """Return the requests by the fencing tokens of their runs; none of a text of a format to come."""
    try:
        return {
            run_id: StopRequest(requested_by, datetime.fromtimestamp(at, timezone.utc))
            for run_id, (requested_by, at) in json.loads(text or '{}').items()
        }
    except (AttributeError, OverflowError, TypeError, ValueError):
        return {}


def with_stop(text: str | None, run_id: str, request: StopRequest) -> str:
    """Return the text with one request more."""
    requests = {**read_stops(text), run_id: request}
    newest = list(requests.items())[-MOST_REQUESTS:]
    return json.dumps({run_id: (by, 0.0 if at is None else at.timestamp()) for run_id, (by, at) in newest})
