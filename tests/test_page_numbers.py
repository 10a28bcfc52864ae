"""The times and counts on the pages about monitoring, the status page and queues are those of the code.

A number of another project, such as the time after which RQ ends a job, is compared with that project's default.
"""

import inspect
import re
from datetime import datetime, timedelta
from itertools import pairwise

import celery
import dramatiq.middleware
import kombu.transport.redis
import pytest
import rq
import sentry_sdk.consts

from pyramid_cron import Task
from pyramid_cron.access import log
from pyramid_cron.errors import LONGEST_REASON
from pyramid_cron.expected import GOOD_RUNS
from pyramid_cron.healthchecks.sender import MOST_WAITING
from pyramid_cron.monitoring import watch
from pyramid_cron.monitoring.overdue import LONGEST_SILENCE
from pyramid_cron.monitoring.problems import LONGEST_LEAD
from pyramid_cron.queues.celery import RETRY_POLICY
from pyramid_cron.queues.worker import RETRY_DELAY
from pyramid_cron.sending import LONG_WAIT
from pyramid_cron.sentry.monitors import LONGEST_SLUG, MOST_GAP, MOST_RUNTIME, USUAL_RUNTIME, longest_gap
from pyramid_cron.status.queries import RECENT, STRIP
from pyramid_cron.status.task_page import NEXT_RUNS
from pyramid_cron.status.viewer import REFRESH
from pyramid_cron.store.decision import MOST_MISSED
from pyramid_cron.store.sending_again import PARTS
from pyramid_cron.store.task_conditions import MOST_ATTEMPTS_OF_LOST
from tests.test_docs import one_line, page

DRAMATIQ_LIMIT = inspect.signature(dramatiq.middleware.TimeLimit).parameters['time_limit'].default
SECONDS = timedelta(seconds=1)

NUMBERS = [
    ('monitoring', 'ten lines a minute for each reason at most', (log.MAX_LOGGED, log.WINDOW_SECONDS), (10, 60)),
    ('health', 'No tick came for over two minutes.', LONGEST_SILENCE, 120 * SECONDS),
    ('health', "is more than two minutes ahead of the database's clock", LONGEST_LEAD, 120 * SECONDS),
    ('health', '``no tick`` after two minutes', LONGEST_SILENCE, 120 * SECONDS),
    ('alarms', 'twice the longest of its last 30 successful runs', GOOD_RUNS, 30),
    ('watch', 'more than three minutes old', watch.STOPPED, 180),
    ('watch', 'older than 75 seconds', watch.LATE, 75),
    ('watch', 'at least a minute and a half before', watch.CONFIRMED, 90),
    ('watch', 'within two and a half minutes of its start', watch.INTERVAL + watch.CONFIRMED, 150),
    ('status', 'a strip of the last 30 runs', STRIP, 30),
    ('status', 'its next ten runs', NEXT_RUNS, 10),
    ('status', 'no tick came for some time within the last day', RECENT, timedelta(days=1)),
    ('statusview', 'The value is from 10 to 3600.', (REFRESH[0], REFRESH[-1]), (10, 3600)),
    ('taskspage', 'the last 30 runs of each task', STRIP, 30),
    ('sentry', 'at least 30 minutes and at most a week', (USUAL_RUNTIME, MOST_RUNTIME), (30, 7 * 1440)),
    ('sentry', 'due less than once a year', MOST_GAP, 366 * 1440),
    ('sentry', 'a name with more than 50 characters', LONGEST_SLUG, 50),
    ('sentry', 'that ends waits at most two seconds', sentry_sdk.consts.DEFAULT_OPTIONS['shutdown_timeout'], 2),
    ('healthchecks', 'At most 100 pings wait', MOST_WAITING, 100),
    ('enqueued', 'begins three times at most', MOST_ATTEMPTS_OF_LOST, 3),
    ('enqueued', 'try again every ten seconds', RETRY_DELAY, 10),
    ('celery', 'four by default', celery.Celery(set_as_current=False).conf.worker_prefetch_multiplier, 4),
    ('celery', 'after a quarter of the time', PARTS[0], 0.25),
    ('celery', 'not acknowledged for an hour', kombu.transport.redis.Channel.visibility_timeout, 3600),
    ('celery', 'The tick tries to send a message twice', RETRY_POLICY['max_retries'] + 1, 2),
    ('celery', 'Once failed attempts have taken two seconds', LONG_WAIT, 2),
    ('otherqueues', 'RQ ends a job after three minutes', rq.Queue.DEFAULT_TIMEOUT, 180),
    ('otherqueues', 'dramatiq ends a message after ten minutes', DRAMATIQ_LIMIT, 600_000),
    ('retries', 'the newest 500 of the missed minutes at most', MOST_MISSED, 500),
    ('retries', 'one line of 500 characters at most', LONGEST_REASON, 500),
]


@pytest.mark.parametrize(('name', 'text', 'found', 'expected'), NUMBERS)
def test_a_number_on_a_page_is_that_of_the_code(name, text, found, expected):
    assert text in one_line(page(name))
    assert found == expected


def test_the_longest_time_between_second_mondays_is_that_of_the_page():
    days = re.search(r'(\d+) days for the second Monday of a month', one_line(page('sentry')))[1]
    task = Task(print, min=0, hour=2, dow='mon#2')
    runs = task.runs(datetime(2026, 1, 1))
    assert max(after - before for before, after in pairwise(next(runs) for _ in range(60))).days == int(days)
    assert longest_gap(task.schedule, MOST_GAP) == int(days) * 1440
