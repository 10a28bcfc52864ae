"""How long the last runs of a task took."""

import pytest
from sqlalchemy import insert

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import runs
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


@pytest.fixture
def server(servers):
    server = servers.start().add().add('other')
    server.tick(1)
    return server


@pytest.fixture
def lengths(servers, server):
    """Return a function that records runs, and returns how long the last ones took."""

    def lengths(*rows, limit=9):
        for number, (task, outcome, seconds, attempt) in enumerate(rows):
            began = {'started': INSTANT + number * MINUTE, 'scheduled_for': INSTANT + number * MINUTE}
            row = {'id': f'{number:04}', 'app': 'app', 'trigger': 'request', 'attempt': attempt, **began}
            servers.execute(insert(runs).values(row | {'task': task, 'outcome': outcome, 'seconds': seconds}))
        with server.store.queries() as queries:
            found = queries.run_lengths(['task'], limit)
        return [(length.outcome, (length.started - INSTANT) // MINUTE, length.seconds) for length in found]

    return lengths


def test_the_lengths_of_the_last_runs_are_known(lengths):
    rows = [('task', 'ok', 2.0, 1), ('other', 'ok', 9.0, 1), ('task', 'paused', None, 0), ('task', 'failed', 3.0, 2)]
    assert lengths(*rows) == [('ok', 0, 2.0), ('failed', 3, 3.0)]
    # the record of a minute without a run counts
    assert lengths(limit=2) == [('failed', 3, 3.0)]


def test_a_run_without_an_end_in_the_history_has_that_of_the_row(lengths, servers):
    servers.change('task', last_outcome='ok', last_outcome_for=INSTANT, attempt=1, last_seconds=4.0)
    assert lengths(('task', 'running', None, 1)) == [('ok', 0, 4.0)]
