"""SQL texts: their first keyword, the table that they write, and the ends of transactions among them."""

from __future__ import annotations

import re
from typing import NamedTuple

# what may stand before the first keyword
_SPACE = re.compile(r'(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|;|\()+', re.DOTALL)
_NAME = r'(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|[\w$]+)'
_WRITE = re.compile(
    rf"""(?:
    (?P<insert>INSERT(?:\s+OR\s+\w+|\s+IGNORE)?\s+INTO|REPLACE\s+INTO|INSERT|MERGE\s+INTO|COPY)
    | (?P<update>UPDATE(?:\s+OR\s+\w+)?(?:\s+ONLY)?)
    | (?P<delete>DELETE\s+FROM(?:\s+ONLY)?)
    | (?P<schema>(?:CREATE|ALTER|DROP|TRUNCATE)\b(?:\s+(?:UNIQUE|TEMP|TEMPORARY|UNLOGGED|OR\s+REPLACE))*
        (?:\s+(?:TABLE|INDEX|VIEW|SEQUENCE|TYPE|TRIGGER|FUNCTION|SCHEMA))?(?:\s+IF\s+(?:NOT\s+)?EXISTS)?)
    )\s+(?P<table>{_NAME}(?:\s*\.\s*{_NAME})*)""",
    re.IGNORECASE | re.VERBOSE,
)
# strings and comments, and with quoted names
_TEXTS = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$", re.DOTALL)
_QUOTED = re.compile(rf'{_TEXTS.pattern}|"(?:[^"]|"")*"|`[^`]*`', re.DOTALL)
# what begins or ends a transaction, in several statements of one text
_CONTROL = re.compile(r'\b(?:COMMIT|ROLLBACK|ABORT|END|BEGIN|(?:START|PREPARE)\s+TRANSACTION)\b', re.IGNORECASE)
_ENDS = ('COMMIT', 'END')
_ROLLBACKS = ('ROLLBACK', 'ABORT')
_TO_SAVEPOINT = re.compile(r'\w+(?:\s+(?:WORK|TRANSACTION))?\s+TO\b', re.IGNORECASE)


class Target(NamedTuple):
    """What a statement writes.

    :param kind: ``'insert'``, ``'update'``, ``'delete'``, or the keyword of a change of the schema.
    :param table: the name of the table, without quotes.
    """

    kind: str
    table: str


def keyword(text: str) -> str:
    """Return the first keyword of a text in capitals, empty if there is none."""
    found = _SPACE.match(text)
    word = re.match(r'\w+', text[found.end() if found else 0 :])
    return word[0].upper() if word else ''


def target(text: str) -> Target | None:
    """Return what a statement writes first, ``None`` if it writes nothing, as far as its text shows."""
    bare = _TEXTS.sub(' ', text)
    if keyword(bare) in ('SELECT', 'EXPLAIN', 'SHOW', 'SET', 'PRAGMA'):
        return None
    found = _WRITE.search(bare)
    if found is None:
        return None
    kind = next(name for name in ('insert', 'update', 'delete', 'schema') if found[name])
    if kind == 'schema':
        kind = keyword(found['schema']).lower()
    return Target(kind, re.sub(r'\s*\.\s*', '.', re.sub(r'["`\[\]]', '', found['table'])))


def rest(text: str) -> str:
    """Return a text from its first keyword on."""
    found = _SPACE.match(text)
    return text[found.end() if found else 0 :]


def is_commit(text: str) -> bool:
    """Return whether a single statement ends a transaction with a commit."""
    return keyword(text) in _ENDS


def is_begin(text: str) -> bool:
    """Return whether a single statement begins a transaction."""
    return keyword(text) in ('BEGIN', 'START')


def is_rollback(text: str) -> bool:
    """Return whether a single statement rolls back all of a transaction, and not to a savepoint."""
    return keyword(text) in _ROLLBACKS and not _TO_SAVEPOINT.match(rest(text))


def has_several(text: str) -> bool:
    """Return whether a text has more than one statement, or may have."""
    return ';' in text.strip().rstrip(';')


def hides_control(text: str) -> bool:
    """Return whether a text of several statements may begin or end a transaction.

    A backslash may or may not end a string, which depends on settings: such a text counts as one that may.
    """
    if not has_several(text) or not _CONTROL.search(text):
        return False
    return '\\' in text or bool(_CONTROL.search(_QUOTED.sub(' ', text)))
