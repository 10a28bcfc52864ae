"""One run in the real application that leaves nothing."""

import threading
from datetime import datetime, timedelta, timezone

import pytest
import zope.sqlalchemy
from pyramid.response import Response
from sqlalchemy import insert, text

from pyramid_cron import Skip
from pyramid_cron.events import TaskFinished, TaskStarted
from pyramid_cron.orders import NotRun
from pyramid_cron.rehearsal.findings import Write
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.run import RehearsedRun, rehearse
from tests.support.rehearsed import Item

MINUTE = datetime(2026, 12, 24, 2, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def add(system):
    system['request'].dbsession.add(Item(what='new'))


def rows(site, kind='insert', number=1):
    return {Write(site.engine.url.database, 'items', kind): number}


@pytest.mark.parametrize('by', ['pyramid_tm', 'session'])
def test_what_a_task_leaves_in_its_session_is_sent_and_rolled_back(make_site, by):
    site = make_site(by=by)
    before = site.dump()
    found = site.rehearse(add)
    assert (found.report.outcome, found.findings.rows, found.findings.commits) == ('ok', rows(site), 0)
    assert (found.is_good, found.is_held) == (True, True)
    assert site.dump() == before


def test_a_task_finds_what_it_would_find(site):
    seen = {}
    site.rehearse(seen.update, minute=MINUTE, since=MINUTE - DAY, instant=MINUTE + DAY)
    assert (seen['scheduled_for'], seen['since']) == (MINUTE, MINUTE - DAY)
    assert 0 < seen['time_left']() <= 60
    assert not seen['stopping']()
    site.rehearse(seen.update, instant=MINUTE + DAY)
    assert (seen['scheduled_for'], seen['since']) == (MINUTE + DAY, None)


def test_failures_and_skips(site):
    def fails(system):
        add(system)
        system['request'].dbsession.flush()
        raise KeyError('key')

    def skips(system):
        raise Skip('nothing')

    found = site.rehearse(fails)
    assert (found.report.outcome, found.is_good, found.findings.rows) == ('failed', False, rows(site))
    found = site.rehearse(skips)
    assert (found.report.outcome, found.is_good) == ('skipped', True)


def test_an_error_of_what_is_sent_at_the_end_is_a_failure(site):
    found = site.rehearse(lambda system: system['request'].dbsession.add(Item(id=1)))
    assert (found.report.outcome, found.is_good) == ('failed', False)


def test_a_transaction_that_the_task_dooms_or_ends(site):
    found = site.rehearse(lambda system: (add(system), system['request'].tm.doom()))
    assert (found.report.outcome, found.findings.rows) == ('ok', {})
    found = site.rehearse(lambda system: (add(system), system['request'].tm.commit()))
    assert (found.report.outcome, found.findings.rows, found.findings.commits) == ('ok', rows(site), 1)
    assert found.is_held


class Other:
    """A data manager that is no session."""

    def sortKey(self):
        return ''

    def nothing(self, transaction):
        pass

    abort = tpc_begin = commit = tpc_vote = tpc_finish = tpc_abort = nothing


def test_what_else_the_task_commits_is_reported(site):
    found = site.rehearse(lambda system: system['request'].tm.get().join(Other()))
    assert found.is_held

    def commits(system):
        tm = system['request'].tm
        tm.commit()
        tm.begin().join(Other())
        tm.commit()

    found = site.rehearse(commits)
    assert found.findings.escaped == ['the task has committed a Other, which is no session of SQLAlchemy']
    assert not found.is_held


def test_sql_that_is_marked_is_kept_as_well(site):
    def marks(system):
        session = system['request'].dbsession
        session.execute(insert(Item).values(what='x'))
        zope.sqlalchemy.mark_changed(session)

    assert site.rehearse(marks).findings.rows == rows(site)


def test_nothing_is_claimed_recorded_or_sent(make_site, tmp_path):
    heard = []
    site = make_site(**{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite', 'cron.session': 'dbsession'})
    for event in (TaskStarted, TaskFinished):
        site.config.add_subscriber(heard.append, event)
    site.config.commit()
    assert site.rehearse(add).report.outcome == 'ok'
    assert site.registry['cron_store'].states() == {}
    assert heard == []


def test_the_run_has_no_claim(site):
    run = RehearsedRun(site.task, MINUTE, None)
    assert (run.claim(), run.goes_on(), run.wait(MINUTE), run.excuse('KeyError')) == (None, False, None, None)
    run.skip('why')
    run.interrupt()


def test_a_request_that_is_answered_before(make_site):
    site = make_site()
    with pytest.raises(NotRun):
        rehearse(Response(status=503), site.registry, site.task, instant=MINUTE)
    assert REHEARSAL.findings is None


def test_a_thread_that_goes_on_is_reported_and_held_back(site):
    before, go_on, thread = site.dump(), threading.Event(), None

    def later():
        go_on.wait()
        with site.engine.begin() as connection:
            connection.execute(text('DELETE FROM items'))

    def body(system):
        nonlocal thread
        thread = threading.Thread(target=later, name='late', daemon=True)
        thread.start()

    found = site.rehearse(body)
    assert found.findings.escaped == ['a thread is still running, late: what it does from now on is not shown']
    go_on.set()
    thread.join()
    REHEARSAL.drop()
    REHEARSAL.findings = None
    assert site.dump() == before
