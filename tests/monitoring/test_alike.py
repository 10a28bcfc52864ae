"""Failures that are one notice."""

from pyramid_cron.alarm import Acknowledged
from pyramid_cron.monitoring.alike import describe_alike, group_alike
from pyramid_cron.monitoring.problem import Problem


def failed(task, error='OperationalError', message='could not connect to db-1', **values):
    return Problem('failed', task, error=error, message=message, **values)


def test_failures_with_the_same_class_and_message_are_one():
    groups = group_alike([failed('a'), failed('b', message='the disk is full'), failed('c'), failed('d')])
    assert [[problem.task for problem in group] for group in groups] == [['a', 'c', 'd'], ['b']]
    assert describe_alike(groups[0]) == 'OperationalError \N{MULTIPLICATION SIGN} 3: could not connect to db-1'


def test_a_failure_without_a_message_is_described_by_its_class():
    [group] = group_alike([failed('a', message=None), failed('b', message=None)])
    assert describe_alike(group) == 'OperationalError \N{MULTIPLICATION SIGN} 2'


def test_what_is_not_known_to_be_alike_stays_apart():
    problems = [
        failed('a', None, None),
        failed('b', None, None),
        # no alarm
        failed('c', excuse='tolerated'),
        failed('d'),
        # each with a reason
        failed('i', excuse='acknowledged', acknowledged=Acknowledged('the database moves', 'ada', None)),
        failed('j', excuse='acknowledged', acknowledged=Acknowledged('not now', 'ada', None)),
        Problem('lost', 'e'),
        Problem('lost', 'f'),
        Problem('stopped', 'g', error='by ada'),
        Problem('stopped', 'h', error='by ada'),
    ]
    assert group_alike(problems) == [[problem] for problem in problems]
