"""The file of an SQLite database: its path, and what takes its place while it is open."""

from pathlib import Path

import pytest
from sqlalchemy import URL, make_url

from pyramid_cron.store.sqlite_file import OpenFile, identity, is_in_memory, sqlite_file


@pytest.mark.parametrize(
    ('url', 'name'),
    [
        ('sqlite:////var/cron.sqlite', '/var/cron.sqlite'),
        ('sqlite:///cron.sqlite', 'cron.sqlite'),
        ('sqlite:///file:/var/cron.sqlite?mode=ro&uri=true', '/var/cron.sqlite'),
        ('sqlite:///file://localhost/var/cron.sqlite?uri=true', '/var/cron.sqlite'),
        ('sqlite:///file:cron.sqlite?uri=true', 'cron.sqlite'),
        ('sqlite:///file:/var/cron.sqlite', 'file:/var/cron.sqlite'),
        ('sqlite://', None),
        ('sqlite:///file:cron?mode=memory&uri=true', None),
        ('postgresql+psycopg://host/name', None),
    ],
)
def test_a_database_of_sqlite_has_a_file(url, name):
    assert sqlite_file(make_url(url)) == (None if name is None else Path(name))


def test_escapes_in_a_uri_of_sqlite_are_resolved():
    # SQLAlchemy 2.1 resolves those of its own URLs, 2.0 does not
    url = URL.create('sqlite', database='file:///var/cron%20x.sqlite', query={'uri': 'true'})
    assert sqlite_file(url) == Path('/var/cron x.sqlite')


@pytest.mark.parametrize(
    ('url', 'expected'),
    [
        ('sqlite://', True),
        ('sqlite:///:memory:', True),
        ('sqlite:///file:cron?mode=memory&uri=true', True),
        ('sqlite:////var/cron.sqlite', False),
        ('postgresql+psycopg://host', False),
    ],
)
def test_a_database_in_memory_is_recognized(url, expected):
    assert is_in_memory(make_url(url)) is expected


def test_a_file_keeps_its_identity(tmp_path):
    path = tmp_path / 'file'
    assert identity(path) is None
    path.write_text('one')
    first = identity(path)
    path.write_text('two')
    assert identity(path) == first
    path.rename(tmp_path / 'kept')
    path.write_text('three')
    assert identity(path) != first == identity(tmp_path / 'kept')


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'file').write_text('old')
    return tmp_path


@pytest.fixture
def file(folder):
    """An open file with the two files beside it that SQLite makes."""
    file = OpenFile(folder / 'file')
    file.opened()
    for suffix in ('-wal', '-shm'):
        (folder / f'file{suffix}').write_text('old')
    assert not file.is_replaced()
    return file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def replace(folder, name='file'):
    (folder / 'new').write_text('new')
    (folder / 'new').replace(folder / name)


def test_a_file_that_is_not_open_is_not_replaced(folder):
    file = OpenFile(folder / 'file')
    replace(folder)
    assert not file.is_replaced()


def test_the_first_connection_decides_which_file_is_open(folder, file):
    replace(folder)
    file.opened('a second connection')
    assert file.is_replaced()


def test_the_log_of_a_replaced_file_is_set_aside(folder, file):
    replace(folder)
    assert file.is_replaced()
    assert file.leave() == (
        f'the file {folder}/file was replaced while it was open, and its last changes are in {folder}/file-wal.replaced'
    )
    assert names(folder) == ['file', 'file-wal.replaced']
    assert (folder / 'file-wal.replaced').read_text() == 'old'
    assert not file.is_replaced()
    file.opened()
    assert not file.is_replaced()


def test_a_removed_file_is_named_so(folder, file):
    (folder / 'file').unlink()
    assert file.is_replaced()
    assert file.leave().startswith(f'the file {folder}/file was removed while it was open, and')
    assert names(folder) == ['file-wal.replaced']


def test_a_log_that_came_with_the_new_file_stays(folder, file):
    for name in ('file', 'file-wal', 'file-shm'):
        replace(folder, name)
    assert file.is_replaced()
    assert file.leave() == f'the file {folder}/file was replaced while it was open'
    assert names(folder) == ['file', 'file-shm', 'file-wal']


def test_without_a_log_nothing_is_set_aside(folder, file):
    for suffix in ('-wal', '-shm'):
        (folder / f'file{suffix}').unlink()
    assert not file.is_replaced()
    replace(folder)
    assert file.leave() == f'the file {folder}/file was replaced while it was open'


def test_the_log_of_a_file_that_is_still_there_stays(folder):
    for name in ('one', 'two'):
        (folder / name).write_text(name)
    link = folder / 'link'
    link.symlink_to('one')
    file = OpenFile(link)
    file.opened()
    (folder / 'one-wal').write_text('of one')
    assert not file.is_replaced()
    link.unlink()
    link.symlink_to('two')
    assert file.is_replaced()
    assert file.leave() == f'the file {link} was replaced while it was open'
    assert (folder / 'one-wal').read_text() == 'of one'


def test_two_processes_set_a_log_aside_once(folder, file):
    other = OpenFile(folder / 'file')
    other.opened()
    assert not other.is_replaced()
    replace(folder)
    assert '-wal.replaced' in file.leave()
    (folder / 'file-wal').write_text('of the new file')
    assert other.is_replaced()
    assert other.leave() == f'the file {folder}/file was replaced while it was open'
    assert (folder / 'file-wal').read_text() == 'of the new file'
