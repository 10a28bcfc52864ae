"""Settings with a line for each task, such as ``shop.backup = nightly``, and ``* = off`` for all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyramid_cron.names import ALL_TASKS, hints_of_unknown

if TYPE_CHECKING:
    from pyramid_cron.tasks import Task

COMMENT_SIGNS = ('#', ';')
OFF = 'off'


@dataclass(frozen=True)
class TaskLines:
    """The lines of such a setting. No message shows a value, which may be secret.

    :param by_name: the values by the names of their tasks.
    :param others: the value for tasks without a line, ``None`` without such a line.
    """

    by_name: Mapping[str, str] = field(default_factory=dict)
    others: str | None = None

    @classmethod
    def parse(cls, value: Any) -> TaskLines:
        """Return the lines of a text, or the items of a mapping.

        :raises ValueError: for another value, a line that cannot be read, and two lines for one task.
        """
        found: dict[str, str] = {}
        for name, text in _items(value):
            if name in found:
                raise ValueError(f'two lines are for {name!r}; leave one of them out')
            found[name] = text
        others = found.pop(ALL_TASKS, None)
        return cls(found, others)

    def __bool__(self) -> bool:
        return bool(self.by_name) or self.others is not None

    def value_of(self, name: str) -> str | None:
        """Return the value for a task; ``None`` if no line is for it."""
        return self.by_name.get(name, self.others)

    def check_names(self, tasks: Iterable[Task]) -> None:
        """Check that each line is for a task.

        :param tasks: all tasks of the application.
        :raises ValueError: if one is not, with the names of tasks that come close.
        """
        hints = hints_of_unknown(self.by_name, {task.name: task.was for task in tasks})
        if hints:
            raise ValueError('; '.join(f'{name!r} names no cron task; {hint}' for name, hint in hints.items()))


def _items(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each line."""
    if isinstance(value, Mapping):
        for name, text in value.items():
            # readers of YAML make this one of off
            text = OFF if text is False else text
            if not isinstance(name, str) or not isinstance(text, str) or not name.strip() or not text.strip():
                raise ValueError(f'the item {name!r} cannot be read: its name and its value have to be texts')
            yield name.strip(), text.strip()
        return
    if not isinstance(value, str):
        raise ValueError('it has to be lines such as "shop.remind = off", or a dict such as {"shop.remind": "off"}')
    for number, line in enumerate(map(str.strip, value.splitlines()), 1):
        if not line or line.startswith(COMMENT_SIGNS):
            continue
        # a value may contain a sign of equality, as in a URL
        name, _, text = map(str.strip, line.partition('='))
        if not name or not text:
            raise ValueError(f'line {number} cannot be read: write TASK = VALUE, or TASK = off')
        yield name, text
