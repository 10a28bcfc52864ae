"""Several servers of one database: whose turn a task is, what is caught up, tried again and told."""

import logging
from datetime import datetime, timezone

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


def test_of_any_number_of_servers_one_runs_a_task_and_the_others_say_nothing(servers, warnings, caplog):
    first, second = (servers.start().add() for _ in range(2))
    assert str(first.tick()) == 'ok'
    caplog.clear()
    report = second.tick()
    assert [(task.status, task.reason) for task in report.tasks] == [('skipped', 'already run')]
    assert str(report) == 'ok: 1 of 1 tasks already run for 02:00'
    (silent,) = [record for record in caplog.records if 'already run' in record.getMessage()]
    assert silent.levelno == logging.DEBUG
    assert warnings() == []
    assert (first.ran, second.ran) == ([('task', 0)], [])
    assert servers.history() == ['ok']


def test_the_loser_of_a_claim_is_as_silent_as_one_that_came_later(servers, warnings):
    first, second = (servers.start().add() for _ in range(2))
    # both have looked before one of them claims
    (mine,), (theirs,) = first.turns(), second.turns()
    assert mine.held is None
    assert theirs.held is None
    assert first.claims.claim(mine) is None
    held = second.claims.claim(theirs)
    assert (held.reason, held.level) == ('already run', logging.DEBUG)
    assert warnings() == []


def test_applications_of_one_database_do_not_know_each_other(servers):
    one, other = servers.start().add(), servers.start(app='other').add()
    for server in (one, other):
        assert server.tick().tasks[0].status == 'ok'
    assert sorted(servers.history('app', 'task')) == [('app', 'task'), ('other', 'task')]
