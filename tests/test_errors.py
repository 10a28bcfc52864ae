import pytest

from pyramid_cron.errors import CronError
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.transactions import Aborted


def test_a_schedule_error_is_a_cron_error_and_a_value_error():
    for kind in (CronError, ValueError):
        with pytest.raises(kind, match='min=60'):
            Schedule.from_fields(min=60)


def test_an_aborted_transaction_is_a_cron_error_and_a_runtime_error():
    assert issubclass(Aborted, CronError)
    assert issubclass(Aborted, RuntimeError)
