"""Columns of a terminal: the width of a text, aligned texts, and names that are cut and stay apart."""

from __future__ import annotations

import textwrap
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from pyramid_cron.scripts.typed_names import LEFT_OUT, fold

# categories of Unicode of characters that take no column
WITHOUT_COLUMN = ('Mn', 'Me', 'Cf')


def width_of(text: str) -> int:
    """Return how many columns a text takes."""
    return len(text) if text.isascii() else sum(map(_width_of_character, text))


def _width_of_character(character: str) -> int:
    if unicodedata.category(character) in WITHOUT_COLUMN:
        return 0
    return 2 if unicodedata.east_asian_width(character) in 'WF' else 1


def align(columns: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    widths = [max(map(width_of, column), default=0) for column in columns]
    return ['  '.join(map(_pad, line, widths)).rstrip() for line in zip(*columns, strict=True)]


def _pad(text: str, width: int) -> str:
    return text + ' ' * (width - width_of(text))


def wrap(start: str, text: str, width: int) -> list[str]:
    """Return a text in lines, the first behind ``start`` and the others below the text, without breaking a word."""
    indent = ' ' * width_of(start)
    if text.isascii() and start.isascii():
        return textwrap.wrap(
            text,
            width,
            initial_indent=start,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    lines, line = list[str](), ''
    for word in text.split():
        if line and width_of(start) + width_of(line) + 1 + width_of(word) > width:
            lines.append(line)
            line = word
        else:
            line = f'{line} {word}' if line else word
    return [f'{indent if number else start}{line}' for number, line in enumerate(filter(None, [*lines, line]))]


def shorten(text: str, room: int) -> str:
    """Return a text with its middle left out if it takes more than ``room`` columns."""
    if width_of(text) <= room:
        return text
    end = (room - 2) // 2
    return f'{_head(text, room - len(LEFT_OUT) - end)}{LEFT_OUT}{_tail(text, end)}'


def cut_end(text: str, room: int) -> str:
    """Return a text with its end left out if it takes more than ``room`` columns."""
    return text if width_of(text) <= room else f'{_head(text, room - len(LEFT_OUT))}{LEFT_OUT}'


class NameCutter:
    """Cuts names so that each that is cut is the part of one name only, and can be typed.

    :param known: all names that a part is compared with.
    """

    def __init__(self, known: Collection[str]) -> None:
        self._known = sorted(set(known))
        self._folded = [fold(name) for name in self._known]
        # by the lengths of a head and a tail, how many names have them
        self._counts: dict[tuple[int, int], Counter[tuple[str, str]]] = {}

    def cut(self, name: str, room: int) -> str:
        """Return a name with a part left out if it takes more than ``room`` columns; whole if no such part is its own.

        The middle is left out, or else more of one end, or else all but a part of the middle.
        """
        if width_of(name) <= room:
            return name
        left = room - len(LEFT_OUT)
        balanced = left - (room - 2) // 2
        for of_head in sorted(range(left), key=lambda length: abs(length - balanced)):
            head, tail = _head(name, of_head), _tail(name, left - of_head)
            # beside the dots for what is left out, one of the name would be lost
            if not head.endswith('.') and not tail.startswith('.') and self._count(head, tail) == 1:
                return f'{head}{LEFT_OUT}{tail}'
        middles = (part for part in self._middles(name, left - len(LEFT_OUT)) if self._is_unique(part))
        return next((f'{LEFT_OUT}{part}{LEFT_OUT}' for part in middles), name)

    def _count(self, head: str, tail: str) -> int:
        lengths = len(head), len(tail)
        if lengths not in self._counts:
            ends = [
                (name[: lengths[0]], name[len(name) - lengths[1] :])
                for name in self._known
                if len(name) >= sum(lengths)
            ]
            self._counts[lengths] = Counter((fold(first), fold(last)) for first, last in ends)
        return self._counts[lengths][fold(head), fold(tail)]

    def _middles(self, name: str, room: int) -> Iterator[str]:
        for begin in range(len(name) - 1, 0, -1):
            middle = _head(name[begin:], room)
            if begin + len(middle) < len(name) and middle == middle.strip('.'):
                yield middle

    def _is_unique(self, part: str) -> bool:
        folded = fold(part)
        # no more than two are looked for
        return len(list(islice((name for name in self._folded if folded in name), 2))) == 1


def _head(text: str, room: int) -> str:
    """Return the beginning of a text that fits into ``room`` columns."""
    while width_of(text) > room:
        text = text[: room if len(text) > room else -1]
    return text


def _tail(text: str, room: int) -> str:
    """Return the end of a text that fits into ``room`` columns."""
    while width_of(text) > room:
        text = text[len(text) - room :] if len(text) > room else text[1:]
    return text
