"""Places for processes on one machine: ``places.py``."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from pyramid_cron.queues.places import NoPlaces, Places


@pytest.fixture
def make(tmp_path):
    return lambda number=2, group='shop': Places(number, group, tmp_path / 'places')


def test_there_are_so_many_places(make):
    one, other = make(), make()
    taken = [one.take(), other.take()]
    assert None not in taken
    assert one.take() is None
    os.close(taken[0])
    again = other.take()
    assert again is not None
    assert one.take() is None
    for place in (taken[1], again):
        os.close(place)


def test_other_groups_have_places_of_their_own(make):
    taken = [make(1).take(), make(1, 'other').take()]
    assert None not in taken
    for place in taken:
        os.close(place)


def test_a_process_keeps_the_place_until_it_ends(make):
    places = make(1)
    place = places.take()
    with subprocess.Popen(['/bin/sleep', '60'], pass_fds=[place]) as process:
        os.close(place)
        assert places.take() is None
        process.send_signal(signal.SIGSTOP)
        assert places.take() is None
        process.kill()
    free = places.take()
    assert free is not None
    os.close(free)


def test_another_process_does_not_keep_it(make):
    places = make(1)
    place = places.take()
    with subprocess.Popen(['/bin/sleep', '60']) as process:
        os.close(place)
        free = places.take()
        process.kill()
    os.close(free)


def test_a_file_is_as_new_as_its_last_use(make, tmp_path):
    os.close(make(1).take())
    [file] = (tmp_path / 'places').iterdir()
    os.utime(file, (0, 0))
    os.close(make(1).take())
    assert file.stat().st_mtime > time.time() - 3600
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_folder_is_that_of_the_account(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    os.close(Places(1, 'shop').take())
    [folder] = tmp_path.iterdir()
    assert folder.name == f'pyramid_cron-{os.geteuid()}'
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize('mode', [0o777, 0o720])
def test_a_folder_that_others_may_write_is_refused(make, tmp_path, mode):
    folder = tmp_path / 'places'
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(NoPlaces, match='is no folder that this account alone may write: remove it, or set TMPDIR'):
        make().take()


def test_a_link_in_the_place_of_the_folder_is_refused(make, tmp_path):
    (tmp_path / 'other').mkdir(mode=0o700)
    (tmp_path / 'places').symlink_to(tmp_path / 'other')
    with pytest.raises(NoPlaces, match='is no folder'):
        make().take()


def test_a_folder_that_cannot_be_made_is_refused():
    with pytest.raises(NoPlaces, match=r'^/proc/nothing/places cannot be made: No such file or directory$'):
        Places(1, 'shop', Path('/proc/nothing/places')).take()


def test_a_file_that_cannot_be_opened_is_refused(make, tmp_path):
    os.close(make(1).take())
    [file] = (tmp_path / 'places').iterdir()
    file.unlink()
    file.mkdir()
    with pytest.raises(NoPlaces, match=r'no file can be locked in .*: Is a directory'):
        make(1).take()
