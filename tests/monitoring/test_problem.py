"""The words of a problem; ``test_problems.py`` has when there is one."""

import pytest

from pyramid_cron.monitoring.problem import Problem


@pytest.mark.parametrize(
    ('problem', 'text'),
    [
        (Problem('no tick'), 'no tick has come yet'),
        (Problem('no tick', seconds=180.0), 'no tick for 3 min'),
        (Problem('stuck', 'task', seconds=7200.0), 'stuck, running for 2 h 0 min'),
        (Problem('stuck', 'task'), 'stuck'),
        (Problem('failed', 'task', error='LookupError'), 'failed: LookupError'),
        (Problem('lost', 'task'), 'lost'),
    ],
)
def test_a_problem_has_a_text(problem, text):
    assert str(problem) == text


def test_a_problem_begins_a_sentence():
    assert Problem('tick failed', error='the Row is locked').as_sentence() == 'Tick failed: the Row is locked'
