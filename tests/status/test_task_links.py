"""The links of the page of all tasks to other choices."""

from datetime import datetime, timezone

from pyramid_cron.monitoring.problem import Problem
from pyramid_cron.status.task_filter import PAGE_LENGTH, Entry, TaskFilter, choose
from pyramid_cron.status.task_links import link_headings, link_pages, link_states

NOW = datetime(2026, 11, 24, 2, 9, 30, tzinfo=timezone.utc)


def choice(number=3, words=(), **chosen):
    problems = [Problem(word, 'task') for word in words]
    entries = [Entry(f'task{index:03}', frozenset(words), problems) for index in range(number)]
    return choose(entries, TaskFilter(**chosen), NOW)


def test_each_usual_state_has_a_link_with_its_number():
    found = link_states(choice(words=['failed', 'paused'], sort='name', state='failed'))
    assert [(chip.text, chip.number, chip.is_current) for chip in found] == [
        ('all', None, False),
        ('failed', 3, True),
        ('missed', 0, False),
        ('running', 0, False),
        ('paused', 3, False),
        ('queued', 0, False),
        ('unregistered', 0, False),
    ]
    assert [chip.query for chip in found[:3]] == [
        {'sort': 'name'},
        {'sort': 'name', 'state': 'failed'},
        {'sort': 'name', 'state': 'missed'},
    ]


def test_another_state_has_a_link_where_a_task_is_in_it_or_it_is_chosen():
    assert [chip.text for chip in link_states(choice(words=['overdue']))][-1] == 'overdue'
    assert [(chip.text, chip.number) for chip in link_states(choice(state='stuck'))][-1] == ('stuck', 0)


def test_a_heading_sorts_and_then_turns_the_order():
    assert {name: heading.direction for name, heading in link_headings(TaskFilter()).items()} == dict.fromkeys(
        ('name', 'last', 'duration', 'next'), ''
    )
    plain, turned = (link_headings(TaskFilter(sort=sort)) for sort in ('last', '-last'))
    assert plain['last'] == ({'sort': '-last'}, 'descending')
    assert turned['last'] == ({'sort': 'last'}, 'ascending')
    assert plain['name'] == ({'sort': 'name'}, '')
    assert link_headings(TaskFilter(sort='name'))['name'].direction == 'ascending'


def test_pages_have_links_where_there_are_several():
    assert link_pages(choice()) == []
    found = link_pages(choice(PAGE_LENGTH + 1, name='task', page=2))
    assert [(link.text, link.query, link.is_current) for link in found] == [
        ('1', {'name': 'task'}, False),
        ('2', {'name': 'task', 'page': '2'}, True),
    ]
