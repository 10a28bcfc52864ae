"""The glossary of the documentation: its words are those of the outcomes, and pages link to them."""

import re

import pytest

from pyramid_cron import outcomes
from pyramid_cron.monitoring.problem import WORDS
from tests.test_docs import DOCS, page

# with names of their own for what is shown with blanks, and explained by their pages
WITHOUT_TERM = {'no tick', 'tick failed'}


def terms():
    """Return the words that the glossary defines."""
    return re.findall(r'^    (\w[\w ]*)\n        \S', page('glossary'), re.MULTILINE)


def links():
    """Return the words that the other pages link to the glossary."""
    texts = [page(path.stem) for path in DOCS.glob('*.rst') if path.stem != 'glossary']
    found = re.findall(r':term:`([^`]+)`', '\n'.join(texts))
    return {re.sub(r'.*<(.+)>', r'\1', ' '.join(text.split())) for text in found}


def test_each_word_is_defined_once():
    assert len(terms()) == len(set(terms())) > 40


def test_each_word_is_linked_from_a_page():
    assert set(terms()) - links() == set()


@pytest.mark.parametrize(
    'words',
    [
        outcomes.OUTCOMES,
        outcomes.ALARMING,
        [excuse for excuse in outcomes.EXCUSED if excuse],
        [outcomes.RUNNING, outcomes.QUEUED, outcomes.WAITING],
        [outcomes.UNREGISTERED, outcomes.AHEAD, outcomes.OVERDUE, outcomes.SLOW],
        set(WORDS) - WITHOUT_TERM,
    ],
)
def test_what_becomes_of_a_run_is_defined(words):
    assert set(words) - set(terms()) == set()
