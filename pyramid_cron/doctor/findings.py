"""Findings: what was checked, how it is, and what to do."""

from __future__ import annotations

from typing import NamedTuple

OK, WARN, FAIL = 'ok', 'warn', 'fail'


class Finding(NamedTuple):
    """One result of a check.

    :param status: ``'ok'``, ``'warn'`` for what works and is worth a look or could not be checked, or ``'fail'``.
    :param topic: what was checked, in a word of at most eight characters.
    :param text: what was found.
    :param remedy: what to do, empty if nothing is to be done.
    """

    status: str
    topic: str
    text: str
    remedy: str = ''

    def __str__(self) -> str:
        return f'{self.text}; {self.remedy}' if self.remedy else self.text
