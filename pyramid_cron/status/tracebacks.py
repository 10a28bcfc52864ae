"""Tracebacks with their ends first: what was raised, and then the frames, from the one that raised it on."""

from __future__ import annotations

import re
from typing import NamedTuple

BEGIN = 'Traceback (most recent call last):'
FRAME = re.compile(r'^  File "', re.MULTILINE)
# the sentences of Python between two tracebacks, and what they mean where the order is the other way round
LINKS = {
    'The above exception was the direct cause of the following exception:': 'Its direct cause:',
    'During handling of the above exception, another exception occurred:': 'It was raised while this was handled:',
}
LINK = re.compile(r'\n*^({})$\n*'.format('|'.join(map(re.escape, LINKS))), re.MULTILINE)


class ReversedTraceback(NamedTuple):
    """A traceback with its end first.

    :param raised: the class and the message of the exception.
    :param frames: the frames, the innermost first, and what the exception was caused by in the same way; empty for a
        text that is not such a traceback.
    """

    raised: str
    frames: str


def end_first(traceback: str) -> ReversedTraceback:
    """Return a traceback as Python writes it, or its end, with its end first."""
    # the texts of exceptions, and the sentences between them
    sections = LINK.split(traceback.strip('\n'))
    texts, links = sections[::2], sections[1::2]
    raised, frames = _reverse(texts[-1])
    shown = [frames]
    for text, link in zip(texts[-2::-1], links[::-1], strict=True):
        cause, of_cause = _reverse(text)
        shown += ['', LINKS[link], cause, of_cause]
    return ReversedTraceback(raised, '\n'.join(shown).rstrip('\n'))


def _reverse(text: str) -> ReversedTraceback:
    """Return one section of a traceback with its end first."""
    text = text.removeprefix(BEGIN).lstrip('\n')
    starts = [found.start() for found in FRAME.finditer(text)]
    if not starts:
        return ReversedTraceback(text, '')
    last = text[starts[-1] :].splitlines()
    # the lines of a frame are indented, and that of the exception is not
    length = next((number for number, line in enumerate(last) if line and not line.startswith(' ')), len(last))
    # of a traceback that was cut, what is before the first frame belongs to one that is not there
    ends = [*starts[1:], len(text)]
    frames = [text[start:end].rstrip('\n') for start, end in zip(starts[:-1], ends, strict=False)]
    frames.append('\n'.join(last[:length]))
    return ReversedTraceback('\n'.join(last[length:]), '\n'.join(reversed(frames)))
