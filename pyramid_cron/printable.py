"""Text from outside, such as messages of exceptions and names of users, made safe for terminals, logs and records."""

from __future__ import annotations

import logging
import re

# C0 and C1 control characters, which include the escape sequences of terminals; the characters that end lines; those
# that change the direction of the text around them; halves of surrogate pairs, which no encoding holds
UNSAFE = re.compile('[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')

# the attribute of a record of the log
FAILED_TASK = 'cron_failed_task'

# characters of the name of a class or a user that a column holds
LONGEST_NAME = 255
# characters of the first line of a message that are kept
LONGEST_LINE = 500

# not type(exc).__qualname__, which a metaclass may refuse
_qualified_name = type.__dict__['__qualname__'].__get__


def printable(text: str) -> str:
    r"""Return a text as one line, with escapes in place of unsafe characters, such as ``\x1b`` for ESC."""
    return UNSAFE.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Return a text as :func:`printable`, but with its line ends and tabs as they are."""
    return '\n'.join('\t'.join(map(printable, line.split('\t'))) for line in text.split('\n'))


def encodable(text: str, encoding: str | None) -> str:
    """Return a text with escapes in place of the characters that an encoding does not have."""
    encoding = encoding or 'utf-8'
    return text.encode(encoding, 'backslashreplace').decode(encoding)


def user_name(name: object) -> str:
    """Return the name of a user as it is recorded."""
    return printable(str(name))[:LONGEST_NAME]


def class_name(exc: BaseException) -> str:
    """Return the name of the class of an exception."""
    name: str = _qualified_name(type(exc))
    return printable(name)[:LONGEST_NAME]


def message(exc: BaseException) -> str:
    """Return the message of an exception in one line, also of one that cannot be converted to a text."""
    try:
        text = str(exc)
    except Exception:
        return 'its message cannot be shown'
    return printable(' '.join(text.split()))


def first_line(text: str) -> str | None:
    """Return the first line of a text that is not empty, of which the beginning is kept; ``None`` without one."""
    line = next((line for line in map(str.strip, text.splitlines()) if line), '')
    return printable(line)[:LONGEST_LINE] or None


def log_error(
    log: logging.Logger,
    exc: BaseException | None,
    text: str,
    *args: object,
    level: int = logging.ERROR,
    failed_task: str | None = None,
) -> None:
    """Log an error with the traceback of an exception, or with its class where the traceback cannot be formatted.

    :param failed_task: the task that has failed, if ``TaskFinished`` follows with this failure: the attribute
        ``cron_failed_task`` of the record, by which tools that report both recognize one failure.
    """
    extra = None if failed_task is None else {FAILED_TASK: failed_task}
    try:
        log.log(level, text, *args, exc_info=exc, stacklevel=2, extra=extra)
    except Exception:
        if exc is None:
            raise
        # formatting calls methods of the exception and its class, and what they raise passes through the handlers
        log.log(level, f'{text}: %s, which cannot be shown', *args, class_name(exc), stacklevel=2, extra=extra)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode('unicode_escape').decode()
