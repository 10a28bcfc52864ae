import pytest

from pyramid_cron.history_entries import PastRun


def past(**values):
    fields = dict.fromkeys(PastRun._fields)
    return PastRun(**{**fields, 'task': 'task', 'outcome': 'lost', 'host': 'web1', 'pid': 7, **values})


@pytest.mark.parametrize(
    ('run', 'process', 'why'),
    [
        (past(), 'process 7 on web1', ''),
        # not the one that has enqueued it
        (past(outcome='queued'), '', ''),
        (past(host=None, pid=None), '', ''),
        (past(host=None, pid=None, reason='no tick came in time'), '', 'no tick came in time'),
        # only the process, which is shown anyway
        (past(reason='process 7 on web1, since 09:08'), 'process 7 on web1', ''),
        (past(reason='its process was ended'), 'process 7 on web1', 'its process was ended'),
        (past(error='LookupError', reason='a reason'), 'process 7 on web1', 'LookupError: a reason'),
        (past(error='LookupError'), 'process 7 on web1', 'LookupError'),
    ],
)
def test_a_past_run_shows_its_process_and_reason(run, process, why):
    assert (run.process, run.why) == (process, why)


@pytest.mark.parametrize(('by', 'shown'), [(None, ''), ('', 'made good'), ('ada', 'made good by ada')])
def test_a_past_run_shows_who_made_it_good(by, shown):
    assert past(made_good_by=by).made_good == shown
