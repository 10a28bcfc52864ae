"""The choice of tasks: the parameters of the address, and which tasks they stand for."""

from datetime import datetime, timedelta, timezone

import pytest
from webob.multidict import MultiDict

from pyramid_cron import Task
from pyramid_cron.monitoring.problem import Problem
from pyramid_cron.status.task_filter import (
    HIGHEST_PAGE,
    LONGEST_NAME,
    PAGE_LENGTH,
    Entry,
    TaskFilter,
    choose,
    parse_filter,
)
from pyramid_cron.task_summary import summarize, words_of
from tests.support.states import in_progress, state

NOW = datetime(2026, 11, 24, 2, 9, 30, tzinfo=timezone.utc)


def entry(name, *problems, row=None, hour=3, is_registered=True):
    task = Task(print, name=name, timezone='UTC', min=0, hour=hour)
    summary = summarize(task, NOW.replace(second=0), 1, row, problems) if is_registered else None
    return Entry(name, words_of(row, problems), problems, row, summary)


def ago(hours):
    return NOW.replace(second=0) - timedelta(hours=hours)


def failed(name, **options):
    return Problem('failed', name, **options)


def names(entries, **chosen):
    return [found.name for found in choose(entries, TaskFilter(**chosen), NOW).entries]


def test_an_address_without_parameters_chooses_all():
    assert parse_filter(MultiDict()) == TaskFilter()
    assert TaskFilter().query() == {}


def test_an_address_holds_the_choice():
    chosen = parse_filter(MultiDict(name=' Mail ', state='failed', sort='-last', page='3'))
    assert chosen == TaskFilter('Mail', 'failed', '-last', 3)
    assert chosen.query(page=3) == {'name': 'Mail', 'state': 'failed', 'sort': '-last', 'page': '3'}
    # another choice begins with its first page
    assert chosen.query(sort='name') == {'name': 'Mail', 'state': 'failed', 'sort': 'name'}
    assert parse_filter(chosen.query(page=3)) == chosen


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('name', 'x' * (LONGEST_NAME + 1), 'name has 256 characters: write 255 at most'),
        ('state', 'broken', "state='broken' is none of failed, missed, running, paused, queued, unregistered, stuck"),
        ('sort', 'size', "sort='size' is none of name, last, duration, next, also behind a minus"),
        ('sort', '--name', "sort='--name' is none of"),
        ('page', '0', f"page='0' is not a number from 1 to {HIGHEST_PAGE}"),
        ('page', '-1', "page='-1' is not"),
        ('page', '1e3', "page='1e3' is not"),
        ('page', '\u0663', "page='\u0663' is not"),
        ('page', '9' * 5000, 'is not a number from 1'),
    ],
)
def test_a_bad_parameter_is_an_error_that_shows_it(field, value, message):
    with pytest.raises(ValueError, match=field) as caught:
        parse_filter(MultiDict({field: value}))
    assert message in str(caught.value)


def test_a_name_is_a_part_of_it_in_any_case():
    entries = [entry('shop.Mail.send'), entry('shop.stock'), entry('mailbox')]
    assert names(entries, name='mail', sort='name') == ['mailbox', 'shop.Mail.send']
    assert names(entries, name='[') == []


def test_a_state_is_a_problem_or_what_the_run_in_progress_is():
    running = state('b', 'failed', ago(1), **in_progress(NOW))
    entries = [entry('a', failed('a', excuse='tolerated')), entry('b', failed('b'), row=running), entry('c')]
    assert names(entries, state='failed', sort='name') == ['a', 'b']
    assert names(entries, state='running') == ['b']
    counts = choose(entries, TaskFilter(name='b', state='paused'), NOW).counts
    assert (counts['failed'], counts['running'], counts['paused']) == (1, 1, 0)


def test_what_needs_attention_comes_first():
    entries = [
        entry('later', hour=5),
        entry('next'),
        entry('gone', Problem('unregistered', 'gone'), is_registered=False),
        entry('acknowledged', failed('acknowledged', excuse='acknowledged'), hour=4),
        entry('failed', failed('failed')),
        entry('overdue', Problem('overdue', 'overdue')),
        entry('paused', Problem('overdue', 'paused', excuse='paused'), hour=6),
        entry('lost', Problem('lost', 'lost')),
        entry('stuck', failed('stuck'), Problem('stuck', 'stuck')),
    ]
    assert names(entries) == [
        *('stuck', 'lost', 'failed', 'overdue'),
        # what needs none, the next to run first
        *('next', 'acknowledged', 'later', 'paused', 'gone'),
    ]


def test_each_order_has_the_other_way_round():
    entries = [
        entry('B', row=state('B', 'ok', ago(1), seconds=1.0), hour=4),
        entry('a', row=state('a', 'failed', ago(3), seconds=9.0), hour=5),
        entry('c', hour=3),
    ]
    expected = {'name': ['a', 'B', 'c'], 'last': ['B', 'a', 'c'], 'duration': ['a', 'B', 'c'], 'next': ['c', 'B', 'a']}
    assert {sort: names(entries, sort=sort) for sort in expected} == expected
    assert {sort: names(entries, sort=f'-{sort}')[::-1] for sort in expected} == expected
    running = state('running', 'ok', ago(1), seconds=0.1, run_id='id', started_at=ago(2).timestamp())
    assert names([*entries, entry('running', row=running)], sort='duration') == ['running', 'a', 'B', 'c']
    # a task without a duration, and a row without one
    assert names([entry('lost', row=state('lost', 'lost', ago(1))), entry('none')], sort='duration') == ['lost', 'none']


def test_many_tasks_have_pages():
    entries = [entry(f'task{number:03}') for number in range(2 * PAGE_LENGTH + 1)]
    choice = choose(entries, TaskFilter(sort='name', page=2), NOW)
    assert (choice.number, choice.pages, choice.filter.page) == (2 * PAGE_LENGTH + 1, 3, 2)
    assert [found.name for found in choice.entries] == [found.name for found in entries[PAGE_LENGTH : 2 * PAGE_LENGTH]]
    # a bookmark of a page that there is no more
    last = choose(entries, TaskFilter(sort='name', page=9), NOW)
    assert (last.filter.page, [found.name for found in last.entries]) == (3, [entries[-1].name])
    assert choose([], TaskFilter(page=2), NOW) == choose([], TaskFilter(), NOW)
    assert choose([], TaskFilter(), NOW).pages == 1
