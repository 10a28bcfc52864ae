"""The claims of the pages about the store: numbers, experimental databases, and what a restored store repeats."""

import re
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from inspect import signature
from pathlib import Path

import pytest
from pyramid.config import Configurator

from pyramid_cron.names import MOST_CHARACTERS
from pyramid_cron.schedules.clock import THREE_HOURS
from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.settings import TABLE
from pyramid_cron.store.dialects import MOST_SECONDS
from pyramid_cron.store.engine import RECYCLE_SECONDS, make_engine
from pyramid_cron.store.late import MOST_SECONDS_LATE
from pyramid_cron.store.renames import Renames
from pyramid_cron.store.task_conditions import MOST_ATTEMPTS_OF_LOST
from pyramid_cron.store.task_state import UNREGISTERED_AFTER
from pyramid_cron.store.wrong_clock import MOST_AHEAD
from pyramid_cron.testing import tick
from tests.test_docs import one_line, page

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob('*.rst'), *ROOT.glob('docs/*.rst')]
EXPERIMENTAL = re.compile(r'\b(?:MariaDB|MySQL)\b')
# at empty lines and before each item of a list
BLOCKS = re.compile(r'\n\s*\n|\n(?=- )')

NUMBERS = [
    ('store', 'that minute is at most five minutes ago', TABLE['catch_up'][0], '300'),
    ('failures', 'in three attempts at most', MOST_ATTEMPTS_OF_LOST, 3),
    ('failures', '(``cron.lease``, 90 seconds)', TABLE['lease'][0], '90'),
    ('failures', 'at most ``cron.catch_up`` (300 seconds) ago', TABLE['catch_up'][0], '300'),
    ('failures', "A server's clock is ahead by more than a minute", MOST_AHEAD, 60),
    ('failures', 'replaces each connection after ten minutes', RECYCLE_SECONDS, 600),
    ('failures', 'After a day the process stops trying', MOST_SECONDS_LATE, 86400),
    ('failures', 'lies three hours or more ahead', THREE_HOURS, timedelta(hours=3)),
    ('names', 'more than 200 characters', MOST_CHARACTERS, 200),
    ('names', 'in batches of 1,000 runs', signature(Renames).parameters['batch'].default, 1000),
    ('names', 'after **an hour of ticks**', UNREGISTERED_AFTER, timedelta(hours=1)),
    ('history', 'the last fifty entries', PCronCommand(['pcron', 'history', 'shop.ini']).args.limit, 50),
    ('databases', 'A tick waits four seconds for a lock', MOST_SECONDS, 4),
]


@pytest.mark.parametrize(('name', 'text', 'found', 'expected'), NUMBERS)
def test_a_number_on_a_page_is_that_of_the_code(name, text, found, expected):
    assert text in one_line(page(name))
    assert found == expected


def test_a_pool_has_the_connections_of_the_page():
    engine = make_engine('postgresql+psycopg://cron@db/shop', None)
    assert (engine.pool.size(), engine.pool.size() + engine.pool._max_overflow) == (2, 5)
    assert 'with two to five connections' in one_line(page('databases'))
    engine.dispose()


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


@pytest.mark.slow
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
