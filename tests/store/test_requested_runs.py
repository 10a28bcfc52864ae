"""Runs by name, and deliveries of what this store has not enqueued."""

from datetime import timedelta

import pytest
from sqlalchemy import delete

from pyramid_cron import Skip, perform
from pyramid_cron.orders import run_through
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.requested_runs import NOT_ENQUEUED_HERE
from pyramid_cron.store.schema import tasks
from tests.support.clock import set_clock
from tests.support.enqueueing import LONG, begin
from tests.support.servers import INSTANT


@pytest.mark.slow
def test_a_delivery_of_an_unknown_task_does_nothing(servers, web, worker, queue):
    web.tick(0)
    servers.execute(delete(tasks))
    assert begin(worker, queue[0]).reason == NOT_ENQUEUED_HERE.reason


def test_a_minute_that_was_not_enqueued_does_not_run(web, worker):
    web.tick(0)
    report = perform(worker.config.make_wsgi_app(), 'app:task@2020-11-23T02:05Z')
    assert (report.outcome, report.reason) == ('failed', NOT_ENQUEUED_HERE.reason)
    assert worker.ran == []


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_new_row_begins_by_the_clock_of_the_database(servers):
    server = servers.start().add()
    server.ready()
    set_clock(server.engine, lambda: INSTANT + timedelta(seconds=9))
    server.tick(names=['task'])
    assert (servers.row()['first_seen'], servers.row()['last_seen']) == (INSTANT - MINUTE, INSTANT)


@pytest.mark.slow
@pytest.mark.each_database
def test_an_enqueued_run_by_name_is_no_further_attempt_of_the_last_minute(servers, queue):
    raised = [LookupError, LookupError, Skip]

    def body(system):
        raise raised.pop(0)

    # each missed minute: whether it is tried again does not depend on the present one
    server = servers.start(catch_up=LONG).add(body=body, via=queue, retries=1, missed='each')
    for minute in (0, 1):
        server.tick(minute)
        begin(server, queue.pop(0))
        servers.change(busy_until=INSTANT)
    assert (servers.row()['last_outcome'], servers.row()['attempt']) == ('failed', 2)
    run_through(server.config.make_wsgi_app(), server.registry, INSTANT, ['task'], enqueue=True)
    report = begin(server, queue.pop(0))
    assert (report.outcome, report.attempt) == ('skipped', 1)
    # it is no success, and the failure stays
    assert (servers.row()['last_outcome'], servers.row()['failed_runs']) == ('failed', 1)
