"""The page that explains which tasks are due at a minute."""

from datetime import timedelta

import pytest

from tests.support.filling import fill
from tests.support.status import add_tasks


def test_every_task_has_a_reason_and_its_runs(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 2, now)
    day = now - timedelta(days=1)
    answer = page.get(f'/due?at={day:%Y-%m-%d}T02:00')
    assert f'{day:%Y-%m-%d} 02:00 UTC: 2 of 3 tasks were due' in answer
    assert answer.text.count('all fields match') == 2
    assert 'Not due: 1, and why' in answer
    assert 'hour is 2, not 0' in answer
    assert answer.text.count('✓</span>ok</span>') == 2
    assert f'value="{day:%Y-%m-%d}T02:00"' in answer
    assert 'nothing is recorded of it' not in answer
    coming = page.get('/due?at=2190-01-01T02:01')
    assert '1 of 3 tasks will be due' in coming
    assert 'nothing is recorded' not in coming
    # nothing is due
    assert '<ul class="explanations">' in make_page().get('/due?at=2026-11-24T02:01')
    assert '<details' not in make_page().get('/due?at=2026-11-24T02:00')


def test_the_form_has_the_present_minute_at_first(make_page, now):
    answer = make_page().get('/due')
    assert f'value="{now:%Y-%m-%d}T' in answer
    assert 'tasks were due' not in answer


@pytest.mark.parametrize(
    ('at', 'problem'), [('x', 'is not a time such as'), ('2026-03-29T02:30', 'is a time that the clocks skip')]
)
def test_what_is_not_a_time_is_an_error(make_page, at, problem):
    answer = make_page(settings={'cron.timezone': 'Europe/Berlin'}).get(f'/due?at={at}')
    assert problem in answer
    assert 'tasks were due' not in answer


def test_the_present_minute_can_be_named(make_page, now):
    assert 'tasks were due' in make_page().get('/due?at=now')
