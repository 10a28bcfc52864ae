"""Words for how far the effect of a run is one commit with its record, in the column ``joined`` of the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyramid_cron.outcomes import COMMITTED

if TYPE_CHECKING:
    from pyramid_cron.store.session import Joined

# the record is in the commit of the effect; of a run that has failed, was lost or skipped: nothing of it was committed
WHOLE = 'whole'
# the task committed something by itself before its end
PARTLY = 'partly'
# the run has succeeded, and its session has committed nothing
EMPTY = 'empty'
# the run has not joined the session of its request, so that the record is a commit of its own
APART = 'apart'


def of_commit(session: Joined | None) -> str:
    """Return the word for a run with its end in the commit of its session."""
    return PARTLY if session is not None and session.committed_before_end else WHOLE


def of_end_apart(session: Joined | None, outcome: str) -> str:
    """Return the word for a run with its end in a transaction of its own.

    :param session: the session that the run has joined, ``None`` if it has joined none.
    :param outcome: the outcome of the run.
    """
    if session is None:
        return APART
    if session.committed_before_end:
        return PARTLY
    return EMPTY if outcome in COMMITTED else WHOLE
