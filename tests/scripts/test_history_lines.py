"""Lines that need no database. ``test_history.py`` has those of whole histories."""

import pytest

from pyramid_cron.scripts.history import History
from pyramid_cron.scripts.history_lines import format_history
from pyramid_cron.store.queries import Missed
from tests.support.pcron import NOW, UTC


def lines_of(reason):
    minute = NOW.replace(second=0)
    missed = Missed('invoices', minute, minute, 1, NOW, reason)
    return list(format_history(History([missed], {}, NOW, None), NOW, UTC, 80))


@pytest.mark.parametrize(
    ('reason', 'end'),
    [
        ('no worker began it within 5 min', '  invoices: no worker began it within 5 min'),
        ('no tick came in time', '  invoices'),
    ],
)
def test_a_missed_run_shows_a_reason_other_than_silence(reason, end):
    assert lines_of(reason)[-1].endswith(end)
