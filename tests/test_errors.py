import pytest

from pyramid_cron.errors import CronError, Skip, skip_reason
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.transactions import Aborted


def test_a_schedule_error_is_a_cron_error_and_a_value_error():
    for kind in (CronError, ValueError):
        with pytest.raises(kind, match='min=60'):
            Schedule.from_fields(min=60)


def test_an_aborted_transaction_is_a_cron_error_and_a_runtime_error():
    assert issubclass(Aborted, CronError)
    assert issubclass(Aborted, RuntimeError)


class Unspeakable:
    def __str__(self):
        raise ValueError('no words')


@pytest.mark.parametrize(
    ('skip', 'reason'),
    [
        (Skip('no new file'), 'no new file'),
        (Skip(), 'no reason given'),
        (Skip(None), 'no reason given'),
        (Skip(''), 'no reason given'),
        (Skip(0), '0'),
        (Skip(FileNotFoundError(2, 'No such file', 'a.csv')), "[Errno 2] No such file: 'a.csv'"),
        (Skip('two\nlines \x1b[31mand'), r'two lines \x1b[31mand'),
        (Skip('x' * 501), 'x' * 500),
        (Skip(Unspeakable()), 'its message cannot be shown'),
    ],
)
def test_the_reason_of_a_skip_is_one_line(skip, reason):
    assert isinstance(skip, CronError)
    assert skip_reason(skip) == reason
