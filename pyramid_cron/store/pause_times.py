"""When a task is paused: the end of a pause, which pauses hold for an instant, and which minutes they skip."""

from __future__ import annotations

from datetime import datetime, timezone

from pyramid_cron.claims import Pause
from pyramid_cron.schedules.clock import minute_of

# stored as the end of a pause without an end
FOR_EVER = datetime(9999, 1, 1, tzinfo=timezone.utc)


def end_of(pause: Pause) -> datetime:
    """Return the end of a pause, :data:`FOR_EVER` if it has none."""
    return pause.until or FOR_EVER


def last_end(*pauses: Pause | None) -> datetime | None:
    """Return the end of the pause that ends last, ``None`` without a pause."""
    return max(map(end_of, filter(None, pauses)), default=None)


def in_force_at(instant: datetime, *pauses: Pause | None) -> list[Pause]:
    """Return the pauses that hold for an instant, that first which ends last; in their order if they end together."""
    by_end = sorted(filter(None, pauses), key=end_of, reverse=True)
    return [pause for pause in by_end if instant < end_of(pause)]


def skips(pause: Pause | None, since: datetime | None, minute: datetime) -> bool:
    """Return whether a task does not run for a minute because of a pause.

    What it missed before a pause began is not excused by that pause. The minute in which it began is: the tick for it
    may have come too early.

    :param since: when the pause began, ``None`` if that is not known.
    """
    return pause is not None and minute < end_of(pause) and (since is None or minute_of(since) <= minute)
