"""Compare-and-set on a row that another transaction has locked."""

import pytest

from pyramid_cron import Task
from pyramid_cron.store.errors import Locked
from tests.support.rows import Rows, at

pytestmark = pytest.mark.each_database


# SQLite has one lock for all
@pytest.mark.each_server
def test_a_locked_row_is_not_waited_for(servers):
    with servers.begin() as connection:
        task_rows = Rows(connection)
        task_rows.registered.register([Task(print, name='task')], at(0))
        task_rows.claim(1)
    with servers.begin() as frozen, servers.begin() as connection:
        # as a server does that was frozen in the commit of its task
        assert Rows(frozen).claims.release('task', 'mine')
        with pytest.raises(Locked, match='another transaction holds its row in the store'):
            Rows(connection).claims.reap('task', 'mine')
        # nor is one that is not as expected locked
        assert not Rows(connection).claims.reap('task', 'theirs')
    with servers.begin() as frozen, servers.begin() as connection:
        assert Rows(frozen).claim(2)
        for change in (
            lambda task_rows: task_rows.claim(2, run_id='theirs'),
            lambda task_rows: task_rows.results.skip_to('task', at(3)),
            lambda task_rows: task_rows.results.record_outcome('task', last_outcome='failed'),
        ):
            with pytest.raises(Locked):
                change(Rows(connection))
