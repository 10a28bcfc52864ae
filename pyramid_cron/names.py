"""The names of the tasks of an application, present and former: unique, and with a store unmistakable for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

# in place of the name of a task: all tasks, those included that a later deploy adds
ALL_TASKS = '*'
# characters of a name in the store
MOST_CHARACTERS = 200
# names of tasks in a message
MOST_SHOWN = 10
# combining classes of Unicode from this one on are accents; those below distinguish the letters of some scripts
FIRST_CLASS_OF_ACCENTS = 200


class Names:
    """The names that the tasks of one application have."""

    def __init__(self) -> None:
        # by name: whether the argument name= set it
        self._given: dict[str, bool] = {}
        # by dotted path: the last number appended to it
        self._numbers: dict[str, int] = {}
        # by what people recognize of it: a name in the store
        self._recognized: dict[str, str] = {}

    def add(self, name: str, *, given: bool, in_store: bool) -> str:
        """Take a name for a task, and return it: ``path#2`` for the second task of a dotted path, and so on.

        :param given: whether the argument ``name`` set it; otherwise it is a dotted path, which lambdas and nested
            functions can share.
        :param in_store: whether the store keeps the task by its name.
        :raises ValueError: if another task has the name, and ``name`` set it for one of the two; with ``in_store`` also
            if the name is too long, counted, or hard to distinguish from another one in the store.
        """
        if name in self._given and (given or self._given[name]):
            raise ValueError(f'the name {name!r} belongs to another cron task; choose another name for one of them')
        taken = name
        while taken in self._given:
            # from the last number on: from 1, many tasks would take quadratic time
            number = self._numbers[name] = self._numbers.get(name, 1) + 1
            taken = f'{name}#{number}'
        if in_store:
            self._add_to_store(taken, counted=taken != name)
        self._given[taken] = given
        return taken

    def remove(self, name: str) -> None:
        """Give a name back, and the numbers of dotted paths with it."""
        del self._given[name]
        self._numbers.clear()
        self._recognized = {key: other for key, other in self._recognized.items() if other != name}

    def _add_to_store(self, name: str, counted: bool) -> None:
        if counted:
            raise ValueError(
                f'another task has this dotted path, and with cron.store none is named {name}: if a later release '
                'removed the first, the history and the pauses of one task would become those of another; '
                "set a name for each, as in name='invoices of the first shop'"
            )
        if len(name) > MOST_CHARACTERS:
            raise ValueError(
                f'the name has {len(name)} characters, and with cron.store at most {MOST_CHARACTERS}; '
                'set a shorter one with name='
            )
        other = self._recognized.setdefault(recognized(name), name)
        if other != name:
            raise ValueError(
                f'the name {name!r} differs from that of another task, {other!r}, only in case, accents or blanks, '
                'which cron.store keeps apart and people do not; set another one with name='
            )


def recognized(name: str) -> str:
    """Return what people recognize of a name: without case, accents, blanks, and variants of a character."""
    # needed with a store alone
    import unicodedata

    decomposed = unicodedata.normalize('NFKD', unicodedata.normalize('NFKD', name).casefold())
    return ''.join(c for c in decomposed if not c.isspace() and unicodedata.combining(c) < FIRST_CLASS_OF_ACCENTS)


def close_names(name: str, known: Collection[str]) -> list[str]:
    """Return the names that come close to another one in their last part.

    Whole names are not compared: a dotted path that two share makes any names look alike.
    """
    # for messages alone, and slow to import
    import difflib

    last = {other: other.rpartition('.')[2] for other in known}
    close = difflib.get_close_matches(name.rpartition('.')[2], set(last.values()))
    return sorted(other for other in last if last[other] in close)


def hints_of_unknown(named: Iterable[str], former: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return, of the names that are those of no task, what may be meant by each.

    :param named: names that a setting has.
    :param former: the former names of each task, by its present one.
    """
    present = {name: task for task, names in former.items() for name in names}
    known = list(former)
    return {name: _hint_of_unknown(name, present.get(name), known) for name in named if name not in former}


def _hint_of_unknown(name: str, present: str | None, known: list[str]) -> str:
    if present is not None:
        return f'task {present} had this name before: write {present}'
    if ALL_TASKS in name:
        return f'{ALL_TASKS} stands for all tasks, and for no part of a name'
    near = close_names(name, known)
    shown = ', '.join(known[:MOST_SHOWN]) or 'none'
    more = f' and {len(known) - MOST_SHOWN} more' if len(known) > MOST_SHOWN else ''
    return f'is {" or ".join(near)} meant?' if near else f'the tasks are: {shown}{more}'


def is_name(value: Any) -> bool:
    """Return whether a value is a text of printable characters, and not only blanks."""
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def parse_name(value: Any) -> str:
    """Return the name of the argument ``name``.

    :raises ValueError: if it is not a text of printable characters, and for the name that means all tasks.
    """
    if not is_name(value):
        raise ValueError(f'name={value!r} is not a text of printable characters')
    if value == ALL_TASKS:
        raise ValueError(f'name={value!r} means all tasks, as in a pause of all; choose another name')
    name: str = value
    return name


def parse_former_names(value: Any) -> tuple[str, ...]:
    """Return the names of the argument ``was``.

    :raises ValueError: if it is neither a name nor a list or tuple of names.
    """
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if not all(map(is_name, names)):
        raise ValueError(f'was={value!r} is neither the former name of the task, nor a list of its former names')
    if ALL_TASKS in names:
        raise ValueError(f'was={value!r}: {ALL_TASKS!r} means all tasks, as in a pause of all; leave it out')
    return tuple(dict.fromkeys(names))


def check_former_names(former: Mapping[str, Sequence[str]]) -> None:
    """Check that no task has a name that another task, or the task itself, had before.

    :param former: the former names of each task, by its present one.
    :raises ValueError: if one has.
    """
    owners = {name: name for name in former}
    for task, names in former.items():
        for name in names:
            other = owners.setdefault(name, task)
            if name == task:
                raise ValueError(f'cron task {task}: was={name!r} is its present name; leave it out')
            if other != task:
                has = 'is the name of' if other == name else 'is a former name of'
                raise ValueError(f'cron task {task}: was={name!r} {has} cron task {other}; leave it out of one of them')
