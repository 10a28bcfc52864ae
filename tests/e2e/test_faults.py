"""The fault harness: see tests/faults. With all faults, and other seeds: ``python -m tests.faults --help``."""

import pytest

from tests.support.modules import run_module

# of those that need no waits for the database
FAULTS = {
    'sqlite': ['killed_in_tick', 'no_ticks', 'task_removed', 'zone_unknown'],
    'postgresql': [
        'disconnected_in_tick',
        'killed_in_tick',
        'no_ticks',
        'revoked',
        'statement_refused',
        'zone_unknown',
    ],
}


def simulate(root, *arguments, only):
    chosen = [argument for fault in only for argument in ('--only', fault)]
    return run_module(root, 'tests.faults', *arguments, *chosen)


@pytest.mark.parametrize('database', ['sqlite', 'postgresql'])
def test_nothing_is_silently_wrong_whatever_fails(root, request, database):
    if database == 'postgresql':
        # skips or fails where there is none
        request.getfixturevalue('start_postgresql')
    only = FAULTS[database]
    minutes = 5 + 20 * len(only)
    arguments = '--database', database, '--minutes', str(minutes), '--faults', str(len(only))
    assert simulate(root, *arguments, only=only) == 0


@pytest.mark.parametrize(
    ('control', 'fault'),
    [('counted_first', 'revoked'), ('locked_is_run', 'task_locked'), ('errors_pass', 'zone_unknown')],
)
def test_the_harness_finds_a_protection_that_is_taken_out(root, start_postgresql, control, fault):
    arguments = '--control', control, '--minutes', '105', '--faults', '5'
    assert simulate(root, *arguments, only=[fault]) == 0
