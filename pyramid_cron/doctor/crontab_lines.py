"""The lines of a crontab: schedule, account, command and variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

ASSIGNMENT = re.compile(r"""\s*(?:"(?P<dq>\w+)"|'(?P<sq>\w+)'|(?P<name>\w+))\s*=\s*(?P<value>.*?)\s*""")
# the rest of a command after it is its input
PERCENT = re.compile(r'(?<!\\)%')
NO_VARIABLES: Mapping[str, str] = {}
EACH_MINUTE = ('*', '*/1')
# of a line; cron takes commands of 1,000 characters
MOST_CHARACTERS = 10_000


class Crontab(NamedTuple):
    """A crontab as a text.

    :param place: its name for people, such as ``/etc/cron.d/shop``.
    :param text: its text.
    :param account: the account of its lines; ``None`` if the lines name one.
    :param ignored: the reason why cron does not read it, ``None`` if it does.
    """

    place: str
    text: str
    account: str | None
    ignored: str | None = None


class Line(NamedTuple):
    """One line of a crontab that runs a command.

    :param place: the crontab, and the number of the line.
    :param schedule: its five fields, or a nickname such as ``@hourly``.
    :param account: the account that runs it.
    :param command: the command, up to the first percent sign.
    :param variables: what cron and the crontab have set before it.
    :param problem: the reason why cron does not run it, ``None`` if it does.
    """

    place: str
    schedule: str
    account: str
    command: str
    variables: Mapping[str, str]
    problem: str | None = None

    @property
    def is_each_minute(self) -> bool:
        """Whether it runs in each minute."""
        return all(field in EACH_MINUTE for field in self.schedule.split())


def variables_of(text: str) -> dict[str, str]:
    """Return the variables that a text sets, one in a line."""
    found: dict[str, str] = {}
    for line in text.split('\n'):
        _add_variable(line, found)
    return found


def _add_variable(text: str, variables: dict[str, str]) -> bool:
    """Add the variable that a line sets, and return whether it sets one."""
    assignment = ASSIGNMENT.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    if assignment is None:
        return False
    name = assignment['dq'] or assignment['sq'] or assignment['name']
    variables[name] = assignment['value'].strip('"\'')
    return True


def lines_of(crontab: Crontab, environment: Mapping[str, str] = NO_VARIABLES) -> Iterator[Line]:
    """Yield the lines that run a command. What is no line of a crontab is left out.

    :param environment: the variables that cron sets.
    """
    variables = dict(environment)
    texts = crontab.text.split('\n')
    for number, text in enumerate(texts, 1):
        has_return = text.endswith('\r')
        text = text.strip()
        if not text or text.startswith('#') or len(text) > MOST_CHARACTERS or _add_variable(text, variables):
            continue
        count = 1 if text.startswith('@') else 5
        words = text.split(None, count + (crontab.account is None))
        if len(words) != count + 1 + (crontab.account is None):
            continue
        *head, command = words
        problem = crontab.ignored
        if problem is None and has_return:
            problem = 'its line ends with a carriage return, which is a part of the command: remove it'
        if problem is None and number == len(texts):
            problem = 'cron ignores a last line without a newline: end it with one'
        yield Line(
            f'{crontab.place}, line {number}',
            ' '.join(head[:count]),
            crontab.account or head[count],
            PERCENT.split(command)[0].replace(r'\%', '%'),
            dict(variables),
            problem,
        )
