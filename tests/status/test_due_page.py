"""The page that explains which tasks are due at a minute."""

from datetime import timedelta

import pytest

from pyramid_cron.schedules.clock import MINUTE
from tests.support.filling import fill, record_silence, tick_failed
from tests.support.status import add_tasks


@pytest.mark.slow
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
    assert '<p class="none">' not in answer
    coming = page.get('/due?at=2190-01-01T02:01')
    assert '1 of 3 tasks will be due' in coming
    assert '<p class="none">' not in coming
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


def no_tick(answer):
    return answer.text.partition('no tick</span>')[2].partition('</p>')[0]


@pytest.mark.slow
def test_minutes_without_a_tick_are_named(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 2, now - 10 * MINUTE)
    record_silence(page.registry, now - 30 * MINUTE, now - 21 * MINUTE)
    at = {
        minutes: no_tick(page.get(f'/due?at={now - minutes * MINUTE:%Y-%m-%dT%H:%M}')) for minutes in (31, 30, 21, 20)
    }
    assert [bool(text) for text in at.values()] == [False, True, True, False]
    assert f'{now - 30 * MINUTE:%H:%M} to' in at[30]
    assert f'{now - 21 * MINUTE:%H:%M}.' in at[21]
    # after the last tick
    assert f'No tick has come since {now - 10 * MINUTE:%H:%M}.' in no_tick(
        page.get(f'/due?at={now - 9 * MINUTE:%Y-%m-%dT%H:%M}')
    ).replace(f'{now - 10 * MINUTE:%a %Y-%m-%d} ', '')
    assert no_tick(page.get(f'/due?at={now - 10 * MINUTE:%Y-%m-%dT%H:%M}')) == ''
    assert no_tick(page.get('/due?at=2190-01-01T02:01')) == ''


@pytest.mark.slow
def test_ticks_that_failed_are_named_with_their_problem(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 2, now)
    tick_failed(page.registry, now - 30 * MINUTE, 'the disk is full')
    assert 'Ticks failed (the disk is full), ' in no_tick(page.get(f'/due?at={now - 30 * MINUTE:%Y-%m-%dT%H:%M}'))


def test_a_minute_has_links_to_the_one_before_and_after_it(make_page):
    page = make_page(settings={'cron.timezone': 'Europe/Berlin'})
    # the first pass of the hour that the clocks repeat, and the second
    answer = page.get('/due?at=2026-10-25T00:59Z')
    assert '2026-10-25 02:59 Europe/Berlin' in answer
    assert 'value="2026-10-25T02:59"' in answer
    following = answer.click('Next minute')
    assert '2026-10-25 02:00 Europe/Berlin' in following
    assert '2026-10-25 02:59 Europe/Berlin' in following.click('Previous minute')


def test_the_present_minute_can_be_named(make_page, now):
    assert 'tasks were due' in make_page().get('/due?at=now')


def test_a_reason_names_the_time_zone_of_the_task_where_that_is_another(make_page):
    page = make_page(add_tasks)
    shown = page.get('/due?at=2026-11-24T02:01').text
    assert '<span class="why">all fields match (Europe/Berlin)</span>' in shown
    assert '<span class="why">min is 1, not 0</span>' in shown
    assert 'min is 1, not 0 (UTC)' in page.get('/due?at=2026-11-24T02:01&tz=Europe/Berlin')
