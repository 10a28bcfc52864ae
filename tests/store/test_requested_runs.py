"""Runs by name, and deliveries of what this store has not enqueued."""

from datetime import timedelta

import pytest
from sqlalchemy import delete

from pyramid_cron import perform
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.requested_runs import NOT_ENQUEUED_HERE
from pyramid_cron.store.schema import tasks
from tests.support.clock import set_clock
from tests.support.enqueueing import begin
from tests.support.servers import INSTANT


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
