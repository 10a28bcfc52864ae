"""The claims of docs/databases.rst, and what all pages call the databases that it names experimental."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob('*.rst'), *ROOT.glob('docs/*.rst')]
EXPERIMENTAL = re.compile(r'\b(?:MariaDB|MySQL)\b')
# at empty lines and before each item of a list
BLOCKS = re.compile(r'\n\s*\n|\n(?=- )')


def first_block(text):
    """Return the first block of a page that names a database that is experimental, ``None`` if none does."""
    return next(filter(EXPERIMENTAL.search, BLOCKS.split(text)), None)


@pytest.mark.parametrize('text', ['On MariaDB.\n\nIt is experimental.', '- PostgreSQL, experimental\n- MySQL'])
def test_a_page_that_hides_that_a_database_is_experimental_is_found(text):
    assert 'experimental' not in first_block(text)


def test_each_page_that_names_mariadb_or_mysql_calls_it_experimental():
    blocks = {path.name: first_block(path.read_text(encoding='utf-8')) for path in PAGES}
    naming = {name: block for name, block in blocks.items() if block is not None}
    assert {'CHANGES.rst', 'databases.rst', 'rehearse.rst', 'troubleshooting.rst'} <= naming.keys()
    assert [name for name, block in naming.items() if 'experimental' not in block] == []
