"""Names of tasks that a person types: a whole name, a former one, or a part that only one name has."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import NamedTuple

from pyramid_cron.scripts.loading import UsageError

# stands for any characters in a part, as in a name that a table has cut
LEFT_OUT = '...'
# names in a message
MAX_NAMES = 10


class KnownNames(NamedTuple):
    """The names that a word may stand for.

    :param registered: the names of the tasks that are registered here.
    :param former: the names of tasks here by their former ones, and by those that a newer release gives them.
    :param unregistered: the names of the tasks that are in the store alone.
    """

    registered: Collection[str]
    former: Mapping[str, str] = {}
    unregistered: Collection[str] = ()


def find_name(word: str, known: KnownNames, whole_words_for: str | None = None) -> str | None:
    """Return the name that a word stands for, ``None`` if no name contains it.

    A whole name comes first, registered or not, and then a former one.

    :param whole_words_for: the command that takes no part of a word, ``None`` if any part will do: a script that names
        ``shop.expire`` must not run ``shop.expire_all`` once ``shop.expire`` is gone.
    :raises UsageError: if several names contain the word, with these names, and for a part of a word.
    """
    if word in known.registered or word in known.unregistered:
        return word
    if word in known.former:
        return known.former[word]
    found = sorted(name for name in {*known.registered, *known.unregistered} if is_part(word, name))
    if len(found) > 1:
        raise UsageError(
            f'{word!r} is a part of {len(found)} names, of which one has to be meant: {_list(found, known)}'
        )
    if found and whole_words_for is not None and not _is_of_whole_words(word, found[0]):
        raise UsageError(
            f'{word!r} is only a part of a word of {found[0]}: without a terminal, {whole_words_for} takes whole '
            'names, and parts of whole words'
        )
    return found[0] if found else None


def fold(text: str) -> str:
    """Return a text without case and variants of a character; that of an ellipsis is :data:`LEFT_OUT`."""
    return unicodedata.normalize('NFKC', text).casefold()


def is_part(part: str, name: str) -> bool:
    """Return whether a name contains a part, in which ``...`` stands for any characters."""
    first, *more = fold(part).split(LEFT_OUT)
    name = fold(name)
    if not more:
        return first in name
    *between, last = more
    position, end = len(first), len(name) - len(last)
    if not (name.startswith(first) and name.endswith(last)):
        return False
    for piece in between:
        position = name.find(piece, position)
        if position < 0:
            return False
        position += len(piece)
    return position <= end


def _is_of_whole_words(part: str, name: str) -> bool:
    # no script has the three dots by accident
    return LEFT_OUT in fold(part) or re.search(rf'(?<!\w){re.escape(fold(part))}(?!\w)', fold(name)) is not None


def _list(names: Collection[str], known: KnownNames) -> str:
    shown = [name if name in known.registered else f'{name} (not registered here)' for name in names]
    more = len(shown) - MAX_NAMES
    return ', '.join([*shown[:MAX_NAMES], *([f'and {more} more'] if more > 0 else [])])
