"""The claims of docs/databases.rst, and what all pages call the databases that it names experimental."""

import re
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pyramid.config import Configurator

from pyramid_cron.testing import tick

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
    assert {'databases.rst', 'rehearse.rst', 'troubleshooting.rst'} <= naming.keys()
    assert [name for name, block in naming.items() if 'experimental' not in block] == []


@pytest.mark.parametrize(('minutes', 'ran', 'missed'), [(4, ['restored'], []), (6, [], ['restored'])])
def test_a_restored_store_repeats_the_newest_run_within_catch_up(tmp_path, caplog, minutes, ran, missed):
    file, backup = tmp_path / 'cron.sqlite', tmp_path / 'backup.sqlite'
    with Configurator(settings={'cron.store': f'sqlite:///{file}', 'cron.timezone': 'UTC'}) as config:
        config.include('pyramid_cron')
        config.add_cron_task(lambda system: None, min=0, name='restored')
    due = datetime(2026, 3, 1, 9, tzinfo=timezone.utc)

    def names(instant):
        return tick(config.registry, instant).names('ok')

    assert names(due - timedelta(minutes=1)) == []
    with closing(sqlite3.connect(file)) as connection, closing(sqlite3.connect(backup)) as copy:
        connection.backup(copy)
    assert names(due) == ['restored']
    # as the command .restore of sqlite3 does it
    with closing(sqlite3.connect(file)) as connection, closing(sqlite3.connect(backup)) as copy:
        copy.backup(connection)
    assert names(due + timedelta(minutes=minutes)) == ran
    assert re.findall(r'task (\w+) was missed', caplog.text) == missed
    config.registry['cron_store'].database.engine.dispose()
