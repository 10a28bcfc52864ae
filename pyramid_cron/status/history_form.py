"""The filters of a page of the history, and the entry where it begins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from pyramid_cron.errors import CronError
from pyramid_cron.history_entries import BACKFILL, BY_HAND
from pyramid_cron.outcomes import FAILED, LOST, MISSED, OK, PAUSED, SKIPPED, STOPPED
from pyramid_cron.run_summary import TRIGGERS
from pyramid_cron.schedules import clock
from pyramid_cron.times import YEARS

if TYPE_CHECKING:
    from pyramid_cron.store.history_pages import Position

# the choices, with their texts
OUTCOMES = {
    '': 'any outcome',
    'faults': 'failed, lost or missed',
    **{word: word for word in (FAILED, LOST, MISSED, STOPPED, SKIPPED, PAUSED, OK)},
}
PEOPLE = 'people'
REQUESTED_BY = {
    '': 'anything',
    PEOPLE: 'people, all actions',
    'manual': 'people, by the name of a task',
    BACKFILL: 'people, for a past minute',
    **{trigger: text for trigger, text in TRIGGERS.items() if trigger not in ('manual', BACKFILL, 'queue')},
}
PLACE = re.compile(r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?)~([0-9a-f-]{0,36})', re.ASCII)


class FormError(CronError, ValueError):
    """A value of the form that is not understood."""


class HistoryForm(NamedTuple):
    """What a page of the history is limited to, as it was requested.

    :param name: the name of a task, or a part of the names of several.
    :param outcome: one of :data:`OUTCOMES`.
    :param trigger: one of :data:`REQUESTED_BY`.
    :param day: the day that the page begins with the end of, in ISO 8601.
    :param before: the place that its entries are before, by :func:`write_place`; it wins over the day.
    """

    name: str = ''
    outcome: str = ''
    trigger: str = ''
    day: str = ''
    before: str = ''

    @property
    def wanted_trigger(self) -> str:
        """The trigger that the entries have, see :class:`.Wanted`."""
        return BY_HAND if self.trigger == PEOPLE else self.trigger

    def query(self, **others: str) -> str:
        """Return the form as the query of a URL, with other values for some of it."""
        return urlencode({name: value for name, value in self._replace(**others)._asdict().items() if value})

    def errors(self) -> Iterator[str]:
        """Yield what is wrong with the choices."""
        for label, value, choices in (('outcome', self.outcome, OUTCOMES), ('trigger', self.trigger, REQUESTED_BY)):
            if value not in choices:
                yield f'{label} {value!r} is not one of {", ".join(filter(None, choices))}'

    def start(self, zone: tzinfo | None) -> Position | None:
        """Return the place that the entries are before, ``None`` for the newest ones.

        :raises FormError: for a day or a place that is none.
        """
        from pyramid_cron.store.history_pages import Position

        if self.before:
            at, key = _read_place(self.before)
            return Position(at, key)
        if not self.day:
            return None
        try:
            day = date.fromisoformat(self.day)
        except ValueError:
            day = date.max
        if day.year not in YEARS:
            raise FormError(f'day {self.day!r} is not a day such as 2026-11-24')
        after = day + timedelta(days=1)
        return Position(clock.to_instant(datetime(after.year, after.month, after.day, tzinfo=zone)))


def write_place(place: Position) -> str:
    """Return a place as a text for a URL."""
    return f'{place.at.astimezone(timezone.utc).replace(tzinfo=None).isoformat()}~{place.id}'


def _read_place(text: str) -> tuple[datetime, str]:
    match = PLACE.fullmatch(text)
    try:
        at = datetime.fromisoformat(match[1]) if match else datetime.max
    except ValueError:
        at = datetime.max
    if match is None or at.year not in YEARS:
        raise FormError(f'before {text!r} is not a place in the history')
    return at.replace(tzinfo=timezone.utc), match[2]
