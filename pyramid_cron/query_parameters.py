"""Parameters in the query of a tick: ``check`` runs nothing, ``quiet`` has an answer only if something is wrong."""

from __future__ import annotations

from typing import Any

CHECK, QUIET = 'check', 'quiet'


def has_parameter(request: Any, name: str) -> bool:
    """Return whether the query of a request has a parameter, whatever its value.

    A query that cannot be decoded has it or not, like any other: a tick does not fail because of it.
    """
    query: str | None = request.environ.get('QUERY_STRING')
    if query is None:
        # a DummyRequest has no such key
        return name in request.GET
    return bool(query) and any(part.partition('=')[0] == name for part in query.split('&'))
