"""The kill harness: see tests/kills. With more kills and other seeds: ``python -m tests.kills --help``."""

import subprocess
import sys

import pytest


def kill(root, *arguments):
    done = subprocess.run([sys.executable, '-m', 'tests.kills', *arguments], cwd=root, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    return done.returncode


@pytest.mark.parametrize('database', ['sqlite', 'postgresql'])
def test_what_tasks_did_is_what_is_recorded_whoever_is_killed_when(root, request, database):
    if database == 'postgresql':
        # skips or fails where there is none
        request.getfixturevalue('start_postgresql')
    assert kill(root, '--database', database, '--kills', '50') == 0


def test_the_harness_finds_duplicates_where_lost_runs_are_repeated_without_the_session(root):
    assert kill(root, '--control', 'repeated', '--kills', '50') == 0
