"""The acknowledgement in the row of a task."""

import json
from datetime import datetime, timezone

import pytest

from pyramid_cron.alarm import Acknowledged
from pyramid_cron.store.acknowledgement_columns import failure_key, read_acknowledged, write_acknowledged


@pytest.mark.parametrize(
    ('outcome', 'error', 'key'),
    [
        ('failed', 'LookupError', 'failed LookupError'),
        ('failed', None, 'failed'),
        # the error of a run before it
        ('missed', 'LookupError', 'missed'),
    ],
)
def test_a_failure_is_known_by_outcome_and_error(outcome, error, key):
    assert failure_key(outcome, error) == key


@pytest.mark.parametrize('text', [None, '', 'scrubbed', '[]', '{}', json.dumps({'by': 1, 'since': 'x', 'reason': ''})])
def test_what_cannot_be_read_is_the_reason(text):
    assert read_acknowledged(text) == Acknowledged(text or '', None, None)


def test_what_is_written_can_be_read():
    for since in (None, datetime.now(timezone.utc)):
        acknowledged = Acknowledged('why', None, since)
        assert read_acknowledged(write_acknowledged(acknowledged)) == acknowledged
