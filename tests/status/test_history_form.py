"""What a page of the history is limited to."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.history_entries import BY_HAND
from pyramid_cron.status.history_form import OUTCOMES, FormError, HistoryForm, write_place
from pyramid_cron.store.history_pages import FAULTS, Position

UTC = timezone.utc
AT = datetime(2026, 11, 24, 2, 0, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ('place', 'text'),
    [
        (Position(AT, 'a1' * 16), f'2026-11-24T02:00:01.000005~{"a1" * 16}'),
        (Position(AT.replace(microsecond=0)), '2026-11-24T02:00:01~'),
        (Position(AT.astimezone(timezone(timedelta(hours=5))), 'a'), '2026-11-24T02:00:01.000005~a'),
    ],
)
def test_a_place_is_a_text_in_an_address(place, text):
    assert write_place(place) == text
    assert HistoryForm(before=text).start(UTC) == place


@pytest.mark.parametrize(
    'before', ['x', '2026-11-24T02:00:01', '2026-02-30T02:00:01~a', '0001-01-01T00:00:00~', '2026-11-24T02:00:01~x']
)
def test_another_text_is_no_place(before):
    with pytest.raises(FormError, match='is not a place in the history'):
        HistoryForm(before=before).start(UTC)


@pytest.mark.parametrize(
    ('day', 'zone', 'start'),
    [
        ('2026-11-24', UTC, datetime(2026, 11, 25, tzinfo=UTC)),
        ('2026-11-24', ZoneInfo('Europe/Berlin'), datetime(2026, 11, 24, 23, tzinfo=UTC)),
        # the clocks change
        ('2026-10-24', ZoneInfo('Europe/Berlin'), datetime(2026, 10, 24, 22, tzinfo=UTC)),
        ('2026-10-25', ZoneInfo('Europe/Berlin'), datetime(2026, 10, 25, 23, tzinfo=UTC)),
    ],
)
def test_a_day_begins_with_its_end(day, zone, start):
    assert HistoryForm(day=day).start(zone) == Position(start)


@pytest.mark.parametrize('day', ['today', '2026-02-30', '0001-01-01', '9999-12-31'])
def test_another_text_is_no_day(day):
    with pytest.raises(FormError, match=f"day '{day}' is not a day such as 2026-11-24"):
        HistoryForm(day=day).start(UTC)


def test_the_newest_page_has_no_start():
    assert HistoryForm('task').start(UTC) is None


def test_the_query_has_what_is_chosen():
    form = HistoryForm('a b', 'ok', day='2026-11-24')
    assert form.query() == 'name=a+b&outcome=ok&day=2026-11-24'
    assert form.query(day='', before='x~') == 'name=a+b&outcome=ok&before=x~'
    assert HistoryForm().query() == ''


def test_unknown_choices_are_errors():
    assert list(HistoryForm('x', 'ok', 'people').errors()) == []
    assert list(HistoryForm(outcome='good').errors()) == [
        "outcome 'good' is not one of faults, failed, lost, missed, stopped, skipped, paused, ok"
    ]
    assert list(HistoryForm(trigger='cron').errors()) == [
        "trigger 'cron' is not one of people, manual, backfill, request, command"
    ]


def test_the_choices_mean_those_of_the_store():
    assert FAULTS in OUTCOMES
    assert HistoryForm(trigger='people').wanted_trigger == BY_HAND
    assert HistoryForm(trigger='manual').wanted_trigger == 'manual'
