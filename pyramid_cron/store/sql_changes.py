"""SQL texts that change data, by their keywords."""

from __future__ import annotations

import functools
import re

# what a keyword may stand in without being one: comments, strings, quoted names. PostgreSQL quotes by dollars as well
QUOTED = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$""",
    re.DOTALL | re.VERBOSE,
)
# at the beginning of a statement, or of a part of WITH. The next word sets REPLACE apart from the function replace()
CHANGE = re.compile(
    r'(?:^|[;()])\s*(INSERT|UPDATE|DELETE|MERGE|REPLACE|LOAD(?=\s+DATA))(?:\s+\w|\s*")',
    re.IGNORECASE,
)
# a temporary table ends with its connection, and COPY … TO reads
CHANGE_OF_SCHEMA = re.compile(
    r'(?:^|;)\s*(ALTER|CALL|COPY(?=\s+[^\s(]+\s*(?:\([^)]*\)\s*)?FROM\b)'
    r'|CREATE(?!\s+(?:OR\s+REPLACE\s+)?(?:GLOBAL\s+|LOCAL\s+)?TEMP)|DO|DROP|NOTIFY|REFRESH|TRUNCATE)\b',
    re.IGNORECASE,
)


# most tasks repeat a few statements
@functools.lru_cache(maxsize=200)
def change_in(statement: str, with_schema: bool) -> str | None:
    """Return the first keyword by which an SQL text changes something, ``None`` if it only reads.

    What a function changes that a SELECT calls is not seen.

    :param with_schema: whether the database rolls back changes of its schema too. Others commit these by themselves.
    """
    bare = QUOTED.sub(_placeholder, statement)
    found = CHANGE.search(bare) or (CHANGE_OF_SCHEMA.search(bare) if with_schema else None)
    return None if found is None else found[1].upper()


def _placeholder(quoted: re.Match[str]) -> str:
    return ' ' if quoted[0].startswith(('--', '/*')) else '""'
