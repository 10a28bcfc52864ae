"""Claims and history in a database. Imported only where ``cron.store`` is set, and by ``env.py`` of Alembic.

The names are imported at their first use: ``env.py`` needs one that works without the rest of the store.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyramid_cron.store.alembic import include_name
    from pyramid_cron.store.complete import Fenced
    from pyramid_cron.store.schema import metadata
    from pyramid_cron.store.session import NotJoined
    from pyramid_cron.store.uncommitted import NotCommitted

__all__ = ['Fenced', 'NotCommitted', 'NotJoined', 'include_name', 'metadata']

MODULES = {
    'Fenced': 'complete',
    'NotCommitted': 'uncommitted',
    'NotJoined': 'session',
    'include_name': 'alembic',
    'metadata': 'schema',
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(importlib.import_module(f'{__name__}.{MODULES[name]}'), name)
    globals()[name] = value
    return value
