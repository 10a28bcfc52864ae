"""The setting ``cron.schedules``: schedules in place of those of the code, and tasks that are off."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid.exceptions import ConfigurationError

from pyramid_cron.names import ALL_TASKS, hints_of_unknown
from pyramid_cron.schedules.schedule import Schedule

if TYPE_CHECKING:
    from pyramid_cron.tasks import Task

log = logging.getLogger(__name__)

SETTING = 'cron.schedules'
# in place of the name of a task: all tasks without a line of their own
ALL = ALL_TASKS
COMMENT_SIGNS = ('#', ';')


class Override(NamedTuple):
    """A line of the setting.

    :param line: the line as it is written.
    :param schedule: the schedule of the task; ``None`` for that of the code.
    """

    line: str
    schedule: Schedule | None


@dataclass(frozen=True)
class ScheduleOverrides:
    """The lines of the setting.

    :param by_name: the lines by the names of their tasks.
    :param others: the schedule of tasks without a line; ``None`` for that of the code.
    """

    by_name: Mapping[str, Override] = field(default_factory=dict)
    others: Schedule | None = None

    @classmethod
    def parse(cls, value: Any) -> ScheduleOverrides:
        """Return the lines of a text, or the items of a mapping.

        :raises ValueError: for another value, a line that cannot be read, and two lines for one task.
        """
        found: dict[str, Override] = {}
        for line, name, schedule in _items(value):
            if name in found:
                raise ValueError(
                    f'two lines are for {name!r}: {found[name].line!r} and {line!r}; leave one of them out'
                )
            try:
                found[name] = Override(line, _parse_schedule(name, schedule))
            except ValueError as exc:
                raise ValueError(f'the line {line!r} cannot be read: {exc}{_hint_of_comment(line)}') from exc
        others = found.pop(ALL, Override('', None)).schedule
        return cls(found, others)

    def schedule_of(self, name: str) -> Schedule | None:
        """Return the schedule of a task; ``None`` for that of the code."""
        override = self.by_name.get(name)
        return self.others if override is None else override.schedule

    def check_names(self, tasks: Iterable[Task]) -> None:
        """Check that each line is for a task.

        :param tasks: all tasks of the application.
        :raises ValueError: if one is not, with the names of tasks that come close.
        """
        hints = hints_of_unknown(self.by_name, {task.name: task.was for task in tasks})
        if hints:
            raise ValueError('; '.join(self._unknown(name, hint) for name, hint in hints.items()))

    def _unknown(self, name: str, hint: str) -> str:
        line = self.by_name[name].line
        return f'the line {line!r} names no cron task; {hint}{_hint_of_comment(line)}'


def check_schedules(event: Any) -> None:
    """Check at the end of the configuration that each line is for a task, and log what the setting changes.

    An earlier end of some of the configuration, such as ``config.commit()``, may lack tasks that are added later.

    :param event: a :class:`pyramid.events.ApplicationCreated`.
    :raises pyramid.exceptions.ConfigurationError: if a line is for no task.
    """
    registry = event.app.registry
    tasks = registry['cron_tasks']
    try:
        registry['cron_settings'].schedules.check_names(tasks)
    except ValueError as exc:
        raise ConfigurationError(f'bad setting {SETTING}: {exc}') from exc
    changed = [task for task in tasks if task.schedule_by is not None]
    if changed:
        off = sum(task.schedule.is_off for task in changed)
        log.info('%s: %d of %d tasks off, %d with another schedule', SETTING, off, len(tasks), len(changed) - off)


def _items(value: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield each line, its name and its schedule."""
    if isinstance(value, Mapping):
        for name, schedule in value.items():
            line = f'{name} = {schedule}'
            if not isinstance(name, str):
                raise ValueError(f'the name {name!r} in {line!r} is no text')
            yield line, name, schedule
        return
    if not isinstance(value, str):
        raise ValueError('it has to be lines such as "shop.remind = off", or a dict such as {"shop.remind": "off"}')
    for line in map(str.strip, value.splitlines()):
        if not line or line.startswith(COMMENT_SIGNS):
            continue
        # a name may contain a sign of equality, and a crontab line does not
        name, equals, schedule = line.rpartition('=')
        if not equals or not name.strip():
            raise ValueError(f'the line {line!r} cannot be read: write TASK = off, TASK = on, or TASK = 30 3 * * *')
        yield line, name.strip(), schedule.strip()


def _parse_schedule(name: str, value: Any) -> Schedule | None:
    # readers of YAML make these two of on and off
    word = {True: 'on', False: 'off'}[value] if isinstance(value, bool) else value
    if isinstance(word, str) and word.strip().lower() in ('on', 'off'):
        return None if word.strip().lower() == 'on' else Schedule.off()
    if name == ALL:
        raise ValueError(f'{ALL} = off and {ALL} = on are for all tasks; another schedule is for one task')
    if isinstance(value, Schedule):
        return value
    if not isinstance(value, str) or (len(value.split()) < 2 and not value.strip().startswith('@')):
        raise ValueError(f'{value!r} is neither off, on nor a crontab line such as 30 3 * * *')
    return Schedule.from_line(value.strip())


def _hint_of_comment(line: str) -> str:
    has_comment = any(f' {sign}' in line for sign in COMMENT_SIGNS)
    return '; write a comment on a line of its own' if has_comment else ''
