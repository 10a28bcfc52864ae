"""How long the runs of a task usually take, by its last good runs, and the words for that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from pyramid_cron.durations import format_range, format_seconds

SLOWER = 'slower than usual'

# good runs before a run counts as slower than usual, and by how much it has to exceed nearly all of them
ENOUGH_RUNS = 5
MARGIN, MIN_SECONDS = 1.25, 1.0
# parts of the runs: a range of lengths leaves out a tenth of short runs, such as those that found nothing to do
FEW, HALF, NEARLY_ALL = 0.1, 0.5, 0.95
# runs of which one in twenty can be left out
MANY_RUNS = 20


class UsualLength(NamedTuple):
    """How long the last good runs of a task took, in seconds.

    :param runs: how many they are.
    :param short: a tenth of them did not take longer.
    :param median: half of them did not.
    :param long: 19 of 20 did not: the 95th percentile.
    :param longest: how long the longest took.
    """

    runs: int
    short: float
    median: float
    long: float
    longest: float

    def is_exceeded_by(self, seconds: float) -> bool:
        """Return whether a run of this length is slower than usual.

        It is if it takes a quarter, and a second, longer than 19 of 20 of at least five runs.
        """
        limit = max(MARGIN * self.long, self.long + MIN_SECONDS)
        return self.runs >= ENOUGH_RUNS and seconds > limit

    @property
    def range(self) -> str:
        """The lengths of most of the runs: ``2 to 3 min``."""
        return format_range(self.short, self.long)

    def __str__(self) -> str:
        return f'the last good run took {self.range}' if self.runs == 1 else f'usually {self.range}'

    def compare(self, seconds: float) -> str:
        """Return it beside the length of a run: ``usually 2 to 3 min``, or ``slower than usual (2 to 3 min)``."""
        return f'{SLOWER} ({self.range})' if self.is_exceeded_by(seconds) else str(self)

    def as_sentence(self) -> str:
        """Return it with the median and the longest run."""
        if self.runs == 1:
            return f'Its last good run took {format_seconds(self.median)}.'
        usual, longest = format_seconds(self.median), format_seconds(self.longest)
        most = f', 19 of 20 times at most {format_seconds(self.long)}' if self.runs >= MANY_RUNS else ''
        return f'It usually takes {usual}{most}; the longest of its last {self.runs} good runs took {longest}.'

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, in seconds."""
        return {'runs': self.runs, 'median': self.median, 'p95': self.long, 'longest': self.longest}


def usual_length(lengths: Sequence[float]) -> UsualLength | None:
    """Return how long runs usually take, ``None`` without a run.

    :param lengths: the seconds of the last good runs.
    """
    if not lengths:
        return None
    ordered = sorted(lengths)
    few, half, nearly_all = (ordered[math.ceil(part * len(ordered)) - 1] for part in (FEW, HALF, NEARLY_ALL))
    return UsualLength(len(ordered), few, half, nearly_all, ordered[-1])
