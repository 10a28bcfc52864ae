"""The results of the benchmarks: what docs/benchmarks.rst makes of them, and what pages say in words."""

import importlib
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / 'benchmarks'
RESULTS = json.loads((FOLDER / 'results.json').read_text(encoding='utf-8'))
ROWS = RESULTS['rows']


@pytest.fixture(scope='module', autouse=True)
def checkout():
    """Let the benchmarks be imported, which are not installed with the package."""
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))


def module(name):
    return importlib.import_module(f'benchmarks.{name}')


def row(**values):
    given = {'group': 'A group', 'what': 'this', 'other': 'that', 'here': 1, 'there': 1, **values}
    return module('measure').Row(**given)


def ratio(what, other):
    (found,) = [row for row in ROWS if (row['what'], row['other']) == (what, other)]
    return found['ratio']


def here(what):
    (figure,) = {row['here'] for row in ROWS if row['what'] == what}
    return figure


def measured(key, value):
    """Return the rows of something that is not measured where its server is not installed: these are not to be kept."""
    rows = [row for row in ROWS if row[key] == value]
    assert rows
    return rows


def test_the_page_and_its_chart_are_those_of_the_results():
    for path, text in module('page').files(RESULTS):
        assert path.read_text(encoding='utf-8') == text, 'run python -m benchmarks.page'


def test_the_documentation_includes_each_part_of_the_page_once():
    made = re.findall(r'^\.\. begin (\w+)$', module('page').page(RESULTS), re.MULTILINE)
    page = (ROOT / 'docs' / 'benchmarks.rst').read_text(encoding='utf-8')
    assert sorted(re.findall(r':start-after: \.\. begin (\w+)\n +:end-before: \.\. end \1\n', page)) == sorted(made)


def test_each_group_of_rows_is_in_one_part_of_the_page():
    sections = [section.groups for section in module('page').SECTIONS]
    for group in {row['group'] for row in ROWS}:
        assert sum(re.search(pattern, group) is not None for pattern in sections) == 1, group


def test_the_page_names_the_rows_that_miss_their_goals():
    missed = [row for row in ROWS if row['goal'] and not row['goal'].startswith('reached')]
    text = module('page').page(RESULTS)
    assert text.count('**missed**') == len(missed)
    assert ('All ' in text.partition('.. begin goals')[2].partition('.. end goals')[0]) == (not missed)


def test_no_line_of_the_table_is_longer_than_80_columns():
    lines = (FOLDER / 'results.txt').read_text(encoding='utf-8').splitlines()
    assert [line for line in lines if len(line) > 80] == []


def test_all_rows_are_of_one_run_on_databases_that_keep_what_they_commit():
    assert RESULTS['notes'] == []
    [postgresql, sqlite] = RESULTS['machine']['servers']
    assert 'fsync = on, synchronous_commit = on' in postgresql
    assert not any(f'on {kind}' in server for kind in ('tmpfs', 'ramfs') for server in (postgresql, sqlite))


@pytest.mark.parametrize(
    ('figures', 'text'),
    [
        ((0, 1), 'none, unlike that (1)'),
        ((1, 1099), '1,100 times less than that (1,099)'),
        ((1, 9.96), '10 times less than that (10.0)'),
        ((1, 2), '2 times less than that (2)'),
        ((3, 4), '25 % less than that (4)'),
        ((1.04, 1), 'the same as that (1)'),
        ((1.2, 1), '20 % more than that (1)'),
        ((12.3, 1), '12 times as much as that (1)'),
        ((25, 10), '2.5 times as much as that (10)'),
    ],
)
def test_a_ratio_in_words_is_of_the_direction_that_it_has(figures, text):
    assert module('words').compared(row(here=figures[0], there=figures[1], unit='')) == text


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        ({}, ''),
        ({'most': 2}, '2.00 s at most'),
        ({'most': 0, 'unit': ''}, '0 at most: **missed**'),
        ({'most_ratio': 1}, 'not more'),
        ({'most_ratio': 1.2}, '1.2 times at most'),
        ({'most_ratio': 0.1}, '10 times less: **missed**'),
    ],
)
def test_a_goal_in_words_shows_whether_it_is_missed(values, text):
    assert module('words').goal(row(**values)) == text


def test_what_was_not_measured_has_no_sentence_and_no_bar():
    assert list(module('reach').sentences([row()])) == []
    assert list(module('chart').panels([row()])) == []


def test_the_slowest_reading_of_the_history_is_the_limit():
    group = 'Reading a history, compared with one a tenth as long'
    rows = [
        row(group=group, what='health, PostgreSQL', other='1,000 runs', here=0.001),
        row(group=group, what='list, PostgreSQL', other='1,000 runs', here=0.002, there=0.001),
        row(group=group, what='delete 2,000, PostgreSQL', other='a minute', here=0.01),
    ]
    [sentence] = module('reach').sentences(rows)
    assert '*list*, takes 1.00 ms with 1,000 runs in the history, and 2.00 ms with' in sentence
    assert '2,000 old runs are deleted in 10.0 ms' in sentence


def test_the_chart_has_its_figures_in_words_for_those_who_do_not_see_it():
    svg = ElementTree.parse(ROOT / 'docs' / 'benchmarks.svg').getroot()
    [described] = [element.text for element in svg if element.tag.endswith('desc')]
    figures = [element.text for element in svg if element.tag.endswith('text') and element.text[0].isdigit()]
    assert figures
    assert [figure for figure in figures if figure not in described] == []


@pytest.mark.parametrize('what', ['no tasks', '10 tasks, none due'])
def test_a_tick_with_nothing_due_takes_about_as_long_as_a_view(what):
    assert ratio(what, 'bare view') < 1.5


def test_finding_what_is_due_does_not_grow_with_the_tasks():
    assert ratio('10 due among 100,000', 'the same 10 alone') < 3


def test_a_due_moment_runs_once_here_and_more_often_with_the_job_store_of_apscheduler():
    measured('other', 'APScheduler job store')
    assert here('runs of a due moment') == 1
    assert ratio('runs of a due moment', 'APScheduler job store') < 1


@pytest.mark.parametrize(
    ('scheduler', 'least', 'most'), [('Celery beat', 4, 4), ('RedBeat without lock', 1, 4), ('RedBeat', 1, 1)]
)
def test_every_beat_sends_a_due_moment_unless_redbeat_has_its_lock(scheduler, least, most):
    (sent,) = {row['there'] for row in measured('other', scheduler) if row['what'] == 'runs of a due moment'}
    assert least <= sent <= most
