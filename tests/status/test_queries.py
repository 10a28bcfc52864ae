"""The readings of the store that the page shows."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.status.queries import read_tasks
from tests.support.filling import fill, record, record_silence
from tests.support.status import token


def test_a_store_without_tables_has_no_entries(make_page, store):
    page = make_page(settings=store)
    answer = page.get()
    assert '<b>never</b>' in answer
    assert 'No tick has come yet' in answer
    assert 'none yet' in answer
    assert 'Nothing that matches is recorded' in page.task()
    assert '<p class="none">did not run yet: no tick has come yet</p>' in page.get('/due?at=2020-11-24T02:00')


def test_a_store_that_is_down_is_an_error_everywhere(make_page, store, tmp_path):
    (tmp_path / 'cron.sqlite').write_text('this is no database')
    page = make_page(settings=store)
    for path in ('', '/task?name=shop.task', '/due?at=2026-11-24T02:00'):
        answer = page.get(path)
        assert 'the store is not available' in answer
        assert 'The runs are not known' in answer
    answers = {
        'run': 'shop.task was not run',
        'pause': 'No pause of shop.task was set',
        'resume': 'shop.task was not resumed',
    }
    for action, shown in answers.items():
        answer = page.browser.post(
            f'/admin/cron/{action}', {'name': 'shop.task', 'reason': 'r', 'loaded_at': '0', 'csrf_token': token(page)}
        ).follow()
        assert f'{shown}: the store is not available' in answer


@pytest.mark.slow
def test_the_number_of_statements_does_not_grow_with_tasks(make_page, store, now):
    def add(config):
        for number in range(60):
            config.add_cron_task(print, name=f'shop.task{number}', min=number)

    page = make_page(add, settings=store)
    fill(page.registry, 1, now)
    statements = []
    event.listen(page.engine, 'before_cursor_execute', lambda *args: statements.append(args[2]))
    page.get()
    assert len([statement for statement in statements if statement.startswith('SELECT')]) == 6


def test_what_was_missed_needs_attention_until_it_runs_again(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 60, now - timedelta(days=31), most=1)
    month = now - timedelta(days=30)
    record(page.registry, ('shop.task', month, {'outcome': 'missed', 'attempt': 0}))
    found = [(problem.task, problem.kind, problem.since) for problem in task_problems(page, now)]
    assert found == [('shop.task', 'missed', month)]
    record(page.registry, ('shop.task', now - timedelta(hours=1), {}))
    assert task_problems(page, now) == []


def task_problems(page, now):
    problems = read_tasks(page.registry, now).examination.problems
    # the last tick was a month ago, so that it is overdue as well
    return [problem for problem in problems if problem.task is not None and not problem.never_begun]


def test_a_gap_of_last_month_needs_no_attention(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    for end in (now - timedelta(days=30), now - timedelta(hours=1)):
        record_silence(page.registry, end - 5 * MINUTE, end)
    assert [gap.last for gap in read_tasks(page.registry, now).gaps] == [now - timedelta(hours=1)]
