"""The page "The page of all tasks": its tables have what the code has."""

from pathlib import Path

from pyramid_cron.status.task_filter import ORDERS, PAGE_LENGTH, STATES, TaskFilter
from pyramid_cron.status.tasks_page import FEW_TASKS
from pyramid_cron.task_summary import IF_TICKS_COME

PAGE = ' '.join((Path(__file__).parents[1] / 'docs' / 'taskspage.rst').read_text(encoding='utf-8').split())


def row_of(parameter):
    return PAGE.partition(f' ``{parameter}`` | ')[2].partition(' | ')[0]


def test_each_value_of_a_parameter_is_in_the_table():
    quoted = [f'``{state}``' for state in STATES]
    assert f'One of {", ".join(quoted[:-1])} and {quoted[-1]}.' in row_of('state')
    quoted = [f'``{order}``' for order in ORDERS]
    assert f'One of {", ".join(quoted[:-1])} and {quoted[-1]}:' in row_of('sort')
    assert all(row_of(field) for field in TaskFilter._fields)


def test_the_numbers_are_those_of_the_code():
    assert f'A page has {PAGE_LENGTH} tasks.' in PAGE
    assert FEW_TASKS == 5
    assert 'With more than five tasks' in PAGE
    assert f'``{IF_TICKS_COME}``' in PAGE
