"""What a refusal shows of a request."""

import pytest

from pyramid_cron.access.refusal import quoted


@pytest.mark.parametrize(
    ('value', 'shown'),
    [('x', "'x'"), ('', "''"), (None, 'None'), ('a\x1b\n', "'a\\x1b\\n'"), ('a' * 99, f"'{'a' * 80}'")],
)
def test_a_value_is_shown_quoted_and_cut(value, shown):
    assert quoted(value) == shown
