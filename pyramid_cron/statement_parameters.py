"""The parameters of failed statements in texts that show exceptions of SQLAlchemy and of drivers, and texts without."""

from __future__ import annotations

import re

START = '[parameters: '
LEFT_OUT = '[parameters: left out]'

# the line that follows the parameters in the message of most errors; in a text of one line, or in a repr(), it is in
# the line of the parameters itself. In a group of exceptions each line begins with a margin
MARGIN = r'[\s|]*'
NEXT_LINE = re.compile(rf'{MARGIN}\(Background on this error at: ')
# with nothing behind it, or else a value could look like the end
SAME_LINE = re.compile(
    r'\](?=(?:\s|\\+n)*\(Background on this error at: https://sqlalche\.me/e/\w+/\w+\)(?:[\s\'")}\]>.,;]|\\+[n\'"])*$)'
)
# lines that belong to no parameters any more: the beginning of another message or another traceback
OTHER = re.compile(
    rf'{MARGIN}(?:Traceback \(most recent call last\)|\[SQL: |The above exception was the direct cause|'
    r'During handling of the above exception|\+-)'
)
# the end of the parameters where no other line follows, perhaps in quotes and brackets of a message that holds this one
CLOSED = re.compile(r"""\][\s'")}>.,;]*$""")
# values in the words of a driver: psycopg2 shows a piece of the statement, into which it has written them, and
# PostgreSQL and MySQL the key that exists and the text that is no number
OF_DRIVERS = (
    (re.compile(r'^([ \t|]*LINE \d+: ).*(\n[ \t|]*\^)?', re.MULTILINE), r'\1[left out]'),
    (re.compile(r'(\bLINE \d+: )(?!\[left out\]).*?(?=$|\s\[SQL: |\s\^)', re.MULTILINE), r'\1[left out]'),
    (re.compile(r'(\bDETAIL: +).*?(?=$|\s(?:HINT|CONTEXT): |\s\[SQL: )', re.MULTILINE), r'\1[left out]'),
    (re.compile(r"(\bDuplicate entry ').*"), r'\1[left out]'),
    (re.compile(r'(\binvalid input syntax for type [\w ]{1,60}: ").*'), r'\1[left out]'),
)


def leave_out_parameters(text: str) -> str:
    """Return a text without the parameters of failed statements, as SQLAlchemy's exceptions show them.

    The values are shown by ``repr()``, in one line as a rule. Where they take more, the lines up to the end of the
    message are left out, and if that cannot be found, lines after it as well. So are the values that drivers show in
    messages of their own, as far as their form is known here.
    """
    for pattern, replacement in OF_DRIVERS:
        text = pattern.sub(replacement, text)
    if START not in text:
        return text
    lines = text.split('\n')
    kept: list[str] = []
    at = 0
    while at < len(lines):
        line, at = lines[at], at + 1
        before, is_open, is_closed = _of_line(
            line, is_message=at < len(lines) and NEXT_LINE.match(lines[at]) is not None
        )
        kept.append(before)
        if is_open:
            at = _next_message(lines, at, is_closed)
    return '\n'.join(kept)


def _of_line(line: str, is_message: bool) -> tuple[str, bool, bool]:
    """Return a line without parameters, whether they begin in it and may go on, and whether they seem to end in it.

    :param is_message: whether the next line is that which follows parameters.
    """
    kept = ''
    while True:
        before, found, values = line.partition(START)
        if not found:
            return kept + line, False, True
        kept += before + LEFT_OUT
        is_closed = CLOSED.search(values) is not None
        ends = [] if is_closed and is_message else list(SAME_LINE.finditer(values))
        if not ends:
            return kept, True, is_closed
        # the last one: a value may be the text of an error itself
        line = values[ends[-1].end() :]


def _next_message(lines: list[str], first: int, is_closed: bool) -> int:
    """Return the number of the line after the parameters that began in the line before ``first``.

    :param is_closed: whether they seem to end in that line.
    """
    for number in range(first, len(lines)):
        line = lines[number]
        if NEXT_LINE.match(line):
            # that of these parameters only if they end before it
            return number if CLOSED.search(lines[number - 1]) or not is_closed else first
        if START in line or OTHER.match(line):
            return first if is_closed else number
    return first if is_closed else len(lines)
