"""Relative days, which have another date in each month: the last day, the last weekday, the second or the last Friday.

Each is a bit of a mask, above the bits of the other values. In the mask of ``day`` bit 32 is the last day of the month,
and bit 33 the last day from Monday to Friday. The mask of ``dow`` has seven bits, from Monday on, for each of: the days
in every week (bits 0 to 6), the first to the fifth such day of the month (bits 7 to 41), and the last one (bits 42 to
48).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

# in the order of crontab(5), which calls the first one 0
DAY_NAMES = ('sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat')
# not the names of the module calendar, which are in the language of the machine; 0 is Monday
WEEKDAYS = ('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday')
MOST_WEEKS = 5

LAST_DAY = 1 << 32
LAST_WEEKDAY = 1 << 33
# the dates that a last day and a last weekday can have
LAST_DAY_DATES = 0b1111 << 28
LAST_WEEKDAY_DATES = 0b111111 << 26

EVERY_WEEK = 0b1111111
LAST_ROW = MOST_WEEKS + 1


def _weekday_bit(crontab_number: int, row: int) -> int:
    """Return the bit of a day of the week in one of the rows of a mask.

    :param crontab_number: 0 and 7 are Sunday.
    """
    return 1 << 7 * row + (crontab_number + 6) % 7


# the forms in the text of a keyword argument, and in a crontab line: both in lower case
KEYWORD_DAYS = {'last': LAST_DAY, 'last-weekday': LAST_WEEKDAY}
LINE_DAYS = {'l': LAST_DAY, 'lw': LAST_WEEKDAY}
NTH_WEEKDAYS = {
    f'{name}#{row}': _weekday_bit(number, row) for row in range(1, LAST_ROW) for number, name in enumerate(DAY_NAMES)
}
KEYWORD_WEEKDAYS = NTH_WEEKDAYS | {
    f'{name}#last': _weekday_bit(number, LAST_ROW) for number, name in enumerate(DAY_NAMES)
}
LINE_WEEKDAYS = {
    **NTH_WEEKDAYS,
    **{f'{number}#{row}': _weekday_bit(number, row) for row in range(1, LAST_ROW) for number in range(8)},
    **{f'{number}l': _weekday_bit(number, LAST_ROW) for number in range(8)},
}
# the forms of a line as they are shown, in place of those of keywords and of lower case
SHOWN = {
    **dict.fromkeys(('last', 'l'), 'L'),
    **dict.fromkeys(('last-weekday', 'lw'), 'LW'),
    **{f'{name}#last': f'{number}L' for number, name in enumerate(DAY_NAMES)},
    **{f'{number}l': f'{number}L' for number in range(8)},
}


def are_in(day: int, dow: int) -> bool:
    """Return whether the masks of ``day`` and ``dow`` have relative days."""
    return day >= LAST_DAY or dow > EVERY_WEEK


def show_line(texts: Iterable[str]) -> str:
    """Return the texts of the five fields, in lower case, as a crontab line."""
    return ' '.join(','.join(SHOWN.get(element, element) for element in text.split(',')) for text in texts)


def names(forms: Mapping[str, int], mask: int) -> Iterator[str]:
    """Yield the forms of the relative days in a mask."""
    return (text for text, bit in forms.items() if mask & bit)


def rows(dow: int) -> list[int]:
    """Return the rows of a mask of ``dow``: the days in every week, the first to the fifth, and the last ones."""
    return [dow >> 7 * row & EVERY_WEEK for row in range(LAST_ROW + 1)]


def simplify_days(day: int) -> int:
    """Return a mask of ``day`` without the relative days that are among its dates in every month."""
    if day & LAST_DAY_DATES == LAST_DAY_DATES:
        day &= ~LAST_DAY
    if day & LAST_WEEKDAY_DATES == LAST_WEEKDAY_DATES:
        day &= ~LAST_WEEKDAY
    return day


def simplify_weekdays(dow: int) -> int:
    """Return the one mask of ``dow`` for all masks that match the same days."""
    every, first, second, third, fourth, fifth, last = rows(dow)
    # where the fourth one matches, a last one adds the fifth; elsewhere the last one contains the fifth
    fifth |= fourth & last
    last &= ~fourth
    fifth &= ~last
    every |= first & second & third & fourth & fifth
    found = (row & ~every for row in (first, second, third, fourth, fifth, last))
    return every | sum(row << 7 * number for number, row in enumerate(found, 1))
