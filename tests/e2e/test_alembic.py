"""A store in the database of an application with Alembic: the files of ``tests/support/starter.py``, real commands."""

import os
import re
import subprocess
import textwrap

import pytest
from sqlalchemy import create_engine, inspect, text

from pyramid_cron.store.alembic import TABLES
from tests.support.starter import write_ini, write_starter

NOTHING_TO_DO = 'No new upgrade operations detected.'
DROP_ALL = '    Base.metadata.drop_all(bind=engine)\n'
CONFIGURE = '    target_metadata=target_metadata\n'
OF_STORE = 'target_metadata = [Base.metadata, pyramid_cron.store.metadata]\n'


def blocks(root):
    """Return the blocks of Python on the page about Alembic."""
    page = (root / 'docs' / 'alembic.rst').read_text(encoding='utf-8')
    found = re.findall(r'^\.\. code-block:: python\n\n((?: +\S.*\n|\n)+)', page, re.MULTILINE)
    return [textwrap.dedent(block).strip() for block in found]


class Starter:
    """The application in a folder, with databases of its own for each ini file."""

    def __init__(self, folder, program, root, new_url):
        self.folder, self._program, self.blocks, self._new_url = folder, program, blocks(root), new_url
        self.urls = {}
        write_starter(folder)
        for name in ('development', 'testing', 'empty'):
            self.urls[name] = self._new_url(name)
            self.write_ini(name)

    def write_ini(self, name, **settings):
        url = self.urls[name]
        write_ini(self.folder / f'{name}.ini', url, store=url, session='dbsession', **settings)

    def replace(self, name, *changes):
        """Replace texts in a file, each of which has to be there."""
        path = self.folder / name
        content = path.read_text()
        for before, after in changes:
            assert before in content, (name, before)
            content = content.replace(before, after)
        path.write_text(content)

    def run(self, name, *arguments, status=0):
        """Run a program in the folder, and return what it prints."""
        environ = {**os.environ, 'PYTHONPATH': str(self.folder), 'COLUMNS': '200', 'PYTHONDONTWRITEBYTECODE': '1'}
        done = subprocess.run(
            [self._program(name), *arguments],
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def alembic(self, ini, *arguments, status=0):
        return self.run('alembic', '-c', f'{ini}.ini', *arguments, status=status)

    def new_revision(self, ini, message):
        """Let Alembic write a migration, and return its text."""
        before = set((self.folder / 'shop' / 'alembic' / 'versions').glob('*.py'))
        self.alembic(ini, 'revision', '--autogenerate', '-m', message)
        [path] = set((self.folder / 'shop' / 'alembic' / 'versions').glob('*.py')) - before
        return path.read_text()

    def pytest(self, status=0):
        """Run the tests of the application, and return their last line."""
        return self.run('pytest', '-q', '-p', 'no:cacheprovider', '-p', 'no:randomly', 'tests', status=status)

    def tables(self, ini):
        engine = create_engine(self.urls[ini])
        found = set(inspect(engine).get_table_names())
        engine.dispose()
        return found

    def scalar(self, ini, statement):
        engine = create_engine(self.urls[ini])
        with engine.connect() as connection:
            found = connection.scalar(text(statement))
        engine.dispose()
        return found

    def leave_tables_to_the_store(self):
        """Add the lines of the page to ``env.py``."""
        block = next(block for block in self.blocks if 'include_name=include_name' in block)
        imported = block.splitlines()[0]
        argument = re.search(r'include_name=\w+', block)[0]
        self.replace(
            'shop/alembic/env.py',
            ('from alembic import context\n', f'from alembic import context\n{imported}\n'),
            (CONFIGURE, f'    target_metadata=target_metadata,\n    {argument}\n'),
        )

    def leave_tables_to_alembic(self):
        """Add the lines of the page to ``env.py``, and the setting to the ini files."""
        lines = next(block for block in self.blocks if 'def render_item' in block)
        self.replace(
            'shop/alembic/env.py',
            ('config = context.config\n', f'{lines}\n\nconfig = context.config\n'),
            ('target_metadata = Base.metadata\n', OF_STORE),
            (CONFIGURE, '    target_metadata=target_metadata,\n    render_item=render_item\n'),
        )
        for name in self.urls:
            self.write_ini(name, create_tables='false')

    def empty_the_store_in_tests(self):
        """Add the line of the page to ``tests/conftest.py``."""
        lines = textwrap.dedent(next(block for block in self.blocks if 'drop_all' in block).partition('...\n')[2])
        self.replace(
            'tests/conftest.py',
            (DROP_ALL, textwrap.indent(f'{lines}\n', '    ')),
            ('import pytest\n', 'import pyramid_cron.store\nimport pytest\n'),
        )


@pytest.fixture(params=['sqlite', 'postgresql'])
def new_url(request, tmp_path):
    """Return a function that returns the URL of a new database."""
    if request.param == 'sqlite':
        yield lambda name: f'sqlite:///{tmp_path}/{name}.sqlite'
        return
    server = request.getfixturevalue('postgresql_server')
    made = []

    def new(name):
        made.append(server.database())
        return made[-1].__enter__()

    yield new
    for database in made:
        database.__exit__(None, None, None)


@pytest.fixture
def starter(tmp_path, program, root, new_url):
    """The application, migrated, with a store that its first tick has made."""
    starter = Starter(tmp_path, program, root, new_url)
    starter.new_revision('development', 'init')
    starter.alembic('development', 'upgrade', 'head')
    assert 'ok       shop.tasks.note' in starter.run('pcron', 'tick', 'development.ini')
    assert starter.tables('development') == TABLES | {'notes', 'alembic_version'}
    return starter


def test_alembic_leaves_the_tables_to_the_store(starter):
    shown = starter.run('pcron', 'store', 'check', 'development.ini')
    assert 'warn  alembic   this database has a table alembic_version, and shop/alembic/env.py does not name' in shown
    migration = starter.new_revision('development', 'without the lines')
    assert set(re.findall(r"op\.drop_table\('(\w+)'\)", migration)) >= TABLES
    for path in (starter.folder / 'shop' / 'alembic' / 'versions').glob('*.py'):
        if path.read_text() == migration:
            path.unlink()

    starter.leave_tables_to_the_store()
    assert NOTHING_TO_DO in starter.alembic('development', 'check')
    assert 'cron' not in starter.new_revision('development', 'nothing')
    starter.alembic('development', 'upgrade', 'head')
    assert starter.tables('development') >= TABLES
    shown = starter.run('pcron', 'store', 'check', 'development.ini')
    assert 'ok    alembic   shop/alembic/env.py names the tables of the store' in shown

    # and a migration of the application still drops what is its own
    starter.replace('shop/models/note.py', ("    __tablename__ = 'notes'\n", "    __tablename__ = 'memos'\n"))
    migration = starter.new_revision('development', 'rename')
    assert sorted(re.findall(r"op\.drop_table\('(\w+)'\)", migration)) == ['memos', 'notes']


def test_the_suite_is_green_again_and_again_with_tables_of_the_store(starter):
    starter.leave_tables_to_the_store()
    starter.empty_the_store_in_tests()
    for _ in range(2):
        assert '2 passed' in starter.pytest()
    # the tables of the store are there as long as the tests run
    assert starter.tables('testing') == {'alembic_version'}


def test_alembic_makes_the_tables_of_an_existing_store(starter):
    ticked = starter.scalar('development', 'SELECT count(*) FROM cron_runs')
    starter.leave_tables_to_alembic()
    # the database of development has them: there is nothing to write down
    assert 'cron' not in starter.new_revision('development', 'nothing')
    # the commands of the page
    starter.alembic('empty', 'upgrade', 'head')
    migration = starter.new_revision('empty', 'tables of pyramid_cron')
    assert set(re.findall(r"op\.create_table\('(\w+)'", migration)) == TABLES
    starter.alembic('development', 'stamp', 'head')
    assert NOTHING_TO_DO in starter.alembic('development', 'check')
    assert starter.scalar('development', 'SELECT count(*) FROM cron_runs') == ticked
    assert 'fail' not in starter.run('pcron', 'store', 'check', 'development.ini')

    # a new installation has them from the migration alone, and they are as the store makes them
    starter.alembic('empty', 'upgrade', 'head')
    assert NOTHING_TO_DO in starter.alembic('empty', 'check')
    shown = starter.run('pcron', 'store', 'check', 'empty.ini')
    assert re.search(r'ok    tables    all 8 are there', shown)
    assert 'warn' not in shown
    assert 'ok       shop.tasks.note' in starter.run('pcron', 'tick', 'empty.ini')
    assert indexes(starter.urls['empty']) == indexes(starter.urls['development'])


def test_the_suite_is_green_again_and_again_with_tables_of_alembic(starter):
    starter.leave_tables_to_alembic()
    starter.alembic('empty', 'upgrade', 'head')
    starter.new_revision('empty', 'tables of pyramid_cron')
    assert '2 passed' in starter.pytest()
    # as the page describes: the cookiecutter's own conftest.py leaves them
    assert re.search('cron_audit.* already exists', starter.pytest(status=1))
    starter.empty_the_store_in_tests()
    for _ in range(2):
        assert '2 passed' in starter.pytest()


def indexes(url):
    """Return the definitions of the store's indexes, in the words of the database."""
    statement = {
        'sqlite': "SELECT sql FROM sqlite_master WHERE type = 'index' AND name LIKE 'cron_%' AND sql IS NOT NULL",
        'postgresql': "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'cron_%'",
    }
    engine = create_engine(url)
    with engine.connect() as connection:
        found = list(connection.scalars(text(statement[engine.dialect.name])))
    engine.dispose()
    # Alembic quotes otherwise
    return sorted(re.sub(r'[\s"()]+', '', definition) for definition in found)
