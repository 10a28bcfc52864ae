"""How long runs usually take, and the words for that."""

import pytest

from pyramid_cron.usual_length import usual_length

# 19 runs of 121 to 139 s, and a long one
TWENTY = [*range(121, 140), 605]


@pytest.mark.parametrize(
    ('lengths', 'usual'),
    [
        ([], None),
        ([3.0], (1, 3.0, 3.0, 3.0, 3.0)),
        ([4.0, 1.0], (2, 1.0, 1.0, 4.0, 4.0)),
        (TWENTY, (20, 122, 130, 139, 605)),
        (list(range(30)), (30, 2, 14, 28, 29)),
    ],
)
def test_short_and_long_runs_are_left_out(lengths, usual):
    assert usual_length(lengths) == usual


@pytest.mark.parametrize(
    ('lengths', 'seconds', 'slower'),
    [
        # a quarter longer than 19 of 20
        (TWENTY, 174.0, True),
        (TWENTY, 173.0, False),
        # and a second
        ([0.1] * 30, 1.0, False),
        ([0.1] * 30, 1.2, True),
        # too few to know
        ([1.0] * 4, 3600.0, False),
        ([1.0] * 5, 3600.0, True),
    ],
)
def test_a_run_is_slower_than_usual_above_nearly_all(lengths, seconds, slower):
    assert usual_length(lengths).is_exceeded_by(seconds) is slower


@pytest.mark.parametrize(
    ('lengths', 'seconds', 'text'),
    [
        ([12.0], 3600, 'the last good run took 12.0 s'),
        ([120.0, 180.0], 3600, 'usually 2 to 3 min'),
        (TWENTY, 150, 'usually 2 min 2 s to 2 min 19 s'),
        (TWENTY, 240, 'slower than usual (2 min 2 s to 2 min 19 s)'),
    ],
)
def test_a_run_is_compared_with_those_before(lengths, seconds, text):
    assert usual_length(lengths).compare(seconds) == text


@pytest.mark.parametrize(
    ('lengths', 'text'),
    [
        ([12.0], 'Its last good run took 12.0 s.'),
        ([0.25, 190.0, 3.0], 'It usually takes 3.0 s; the longest of its last 3 good runs took 3 min 10 s.'),
        (
            TWENTY,
            'It usually takes 2 min 10 s, 19 of 20 times at most 2 min 19 s; the longest of its last 20 good runs '
            'took 10 min 5 s.',
        ),
    ],
)
def test_the_sentence_has_the_median_and_the_longest(lengths, text):
    assert usual_length(lengths).as_sentence() == text


def test_programs_receive_seconds():
    assert usual_length([1.0, 2.0, 4.0]).as_dict() == {'runs': 3, 'median': 2.0, 'p95': 4.0, 'longest': 4.0}
