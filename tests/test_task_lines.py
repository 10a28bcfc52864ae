"""Lines of settings, each for a task."""

import re

import pytest

from pyramid_cron import Task
from pyramid_cron.task_lines import TaskLines


def task(name, **options):
    return Task(print, name=name, **options)


LINES = """
    # a comment
    shop.sync = https://example.com/?create=1
    ; another one
    * = off
"""


@pytest.mark.parametrize('value', [LINES, {'shop.sync': 'https://example.com/?create=1', '*': False}])
def test_each_task_has_the_value_of_its_line(value):
    lines = TaskLines.parse(value)
    assert (lines.value_of('shop.sync'), lines.value_of('shop.tidy')) == ('https://example.com/?create=1', 'off')
    assert lines


def test_without_a_line_there_is_no_value():
    assert TaskLines.parse('').value_of('shop.sync') is None
    assert not TaskLines.parse('')
    assert TaskLines.parse('* = off')


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ('shop.sync', 'line 1 cannot be read: write TASK = VALUE, or TASK = off'),
        ('\nshop.sync =', 'line 2 cannot be read: write TASK = VALUE, or TASK = off'),
        ('= hidden', 'line 1 cannot be read: write TASK = VALUE, or TASK = off'),
        ('a = 1\na = 2', "two lines are for 'a'; leave one of them out"),
        ({'a': 5}, "the item 'a' cannot be read: its name and its value have to be texts"),
        ({5: 'a'}, 'the item 5 cannot be read: its name and its value have to be texts'),
        ({'a': ' '}, "the item 'a' cannot be read: its name and its value have to be texts"),
        ({' ': 'a'}, "the item ' ' cannot be read: its name and its value have to be texts"),
        (5, 'it has to be lines such as "shop.remind = off", or a dict such as {"shop.remind": "off"}'),
    ],
)
def test_what_cannot_be_read_is_refused_without_its_value(value, message):
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        TaskLines.parse(value)


def test_a_line_has_to_name_a_task():
    tasks = [task('shop.sync', was='shop.fetch'), task('shop.tidy')]
    TaskLines.parse('shop.sync = 1\n* = 2').check_names(tasks)
    with pytest.raises(ValueError, match='names no cron task') as caught:
        TaskLines.parse('shop.synk = 1\nshop.fetch = 2').check_names(tasks)
    assert str(caught.value) == (
        "'shop.synk' names no cron task; is shop.sync meant?; "
        "'shop.fetch' names no cron task; task shop.sync had this name before: write shop.sync"
    )
