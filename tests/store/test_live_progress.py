"""The progress of runs as a text in the row of their process."""

from datetime import datetime, timezone

import pytest

from pyramid_cron.progress import Progress
from pyramid_cron.store.live_progress import read_progress, write_progress

AT = datetime(2026, 11, 30, 2, 0, 0, 250_000, tzinfo=timezone.utc)


def test_progress_is_read_as_it_was_written():
    by_run = {'first': Progress(1.0, 3.0, AT), 'second': Progress(2.5, 4.0, AT, 7.5)}
    assert read_progress(write_progress(by_run)) == by_run
    assert write_progress({}) is None


@pytest.mark.parametrize(
    'text',
    [None, '', 'x', '[]', '{"a": 1}', '{"a": [1, 2, 3]}', '{"a": [1, 2, 1e99, 4]}', '{"a": ["b", 2, 3, 4]}'],
)
def test_a_text_that_cannot_be_read_has_none(text):
    assert read_progress(text) == {}
