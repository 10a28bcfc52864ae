"""How long the pages are, and in which words they are written."""

import re
from pathlib import Path

import pytest

from tests.support.page_lengths import read_page, shown_lines

ROOT = Path(__file__).parents[1]
CHANGES = ROOT / 'CHANGES.rst'
PAGES = sorted((ROOT / 'docs').glob('*.rst'))

# a page is read in one sitting
MOST_SHOWN = 150
# of the README, which is the first thing that a reader sees
FEWEST_OF_README, MOST_OF_README = 80, 120
# of CHANGES: what is different fits a screen, and what is new two more
MOST_OF_CHANGES, MOST_DIFFERENT = 120, 40
# the way from nothing to an application in production, which is read in 25 minutes at 200 words a minute
WAY = ('../README', 'quickstart', 'production', 'store', 'status', 'queues')
MOST_WORDS_OF_WAY = 5000
# words that stand where the subject or the verb of a sentence is missing; a few sentences are about people
LEFT_OUT = (
    r'\b(whoever|nobody|somebody|whose|who|tells?|told|says?|said|asks?|asked|is to be had|gives|lets|takes note of)\b'
)
MOST_LEFT_OUT = 10


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.stem)
def test_a_page_is_read_in_one_sitting(path):
    assert shown_lines(read_page(path)) <= MOST_SHOWN


def test_the_readme_is_neither_long_nor_short():
    assert FEWEST_OF_README <= len((ROOT / 'README.rst').read_text(encoding='utf-8').splitlines()) <= MOST_OF_README


def test_the_way_into_production_is_read_in_half_an_hour():
    words = {name: len(read_page(ROOT / 'docs' / f'{name}.rst').split()) for name in WAY}
    assert sum(words.values()) <= MOST_WORDS_OF_WAY, words


def test_what_changes_is_on_one_screen():
    lines = CHANGES.read_text(encoding='utf-8').splitlines()
    assert len(lines) <= MOST_OF_CHANGES
    assert lines.index('What is new') <= MOST_DIFFERENT


def test_the_pages_that_changes_names_are_there():
    names = re.findall(r'``docs/(\w+)\.rst``', CHANGES.read_text(encoding='utf-8'))
    assert set(names) - {path.stem for path in PAGES} == set()
    assert len(names) > 20


def test_sentences_name_their_subjects():
    found = {}
    for path in [ROOT / 'README.rst', CHANGES, *PAGES]:
        if words := re.findall(LEFT_OUT, path.read_text(encoding='utf-8'), re.IGNORECASE):
            found[path.name] = words
    assert sum(map(len, found.values())) <= MOST_LEFT_OUT, found


@pytest.mark.parametrize(
    ('text', 'lines'),
    [
        ('Title\n=====\n\nOne.\nTwo.\n', 3),
        ('.. _label:\n\n.. code-block:: python\n    :caption: shop.py\n\n    pass\n', 1),
        ('.. invisible-code-block: python\n\n    hidden = 1\n\n    hidden = 2\n\nShown.\n', 1),
        ('.. toctree::\n    :hidden:\n\n    store\n\nShown.\n', 1),
    ],
)
def test_what_a_reader_sees_is_counted(text, lines):
    assert shown_lines(text) == lines


def test_an_included_file_is_counted_and_the_tables_of_benchmarks_are_not(tmp_path):
    (tmp_path / 'part.txt').write_text('before\n.. begin\nin it\n.. end\nafter\n')
    page = tmp_path / 'page.rst'
    page.write_text('.. include:: part.txt\n')
    assert shown_lines(read_page(page)) == 3
    page.write_text('.. include:: part.txt\n    :start-after: .. begin\n    :end-before: .. end\n\nLast.\n')
    assert shown_lines(read_page(page)) == 1
