"""The progress of the runs in progress of a process, as a text in the row of that process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache

from pyramid_cron.progress import Progress


def write_progress(by_run: Mapping[str, Progress]) -> str | None:
    """Return the progress of runs by their fencing tokens as a text, ``None`` without any."""
    values = {run_id: (done, total, at.timestamp(), left) for run_id, (done, total, at, left) in by_run.items()}
    return json.dumps(values) if values else None


@lru_cache(20)
def read_progress(text: str | None) -> Mapping[str, Progress]:
    """Return the progress of runs by their fencing tokens; none of a text of a format to come."""
    try:
        return {
            run_id: Progress(
                float(done),
                float(total),
                datetime.fromtimestamp(at, timezone.utc),
                None if left is None else float(left),
            )
            for run_id, (done, total, at, left) in json.loads(text or '{}').items()
        }
    except (AttributeError, OverflowError, TypeError, ValueError):
        return {}
