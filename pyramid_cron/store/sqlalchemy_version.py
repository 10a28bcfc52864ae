"""The version of SQLAlchemy that the store needs, checked before other modules of the store are imported."""

from __future__ import annotations

import re

from pyramid.exceptions import ConfigurationError
from sqlalchemy import __version__ as INSTALLED

# as in setup.py
OLDEST = (2, 0, 28)


def require_sqlalchemy(installed: str = INSTALLED) -> None:
    """Check that the store works with a version of SQLAlchemy.

    :param installed: the version, such as ``'2.0.44'`` or ``'2.1.0b1'``.
    :raises pyramid.exceptions.ConfigurationError: if it is too old.
    """
    if tuple(map(int, re.findall(r'\d+', installed)[:3])) < OLDEST:
        raise ConfigurationError(
            f'cron.store: SQLAlchemy {installed} is installed, and the store needs {".".join(map(str, OLDEST))} or '
            "later; run: pip install 'pyramid_cron[store]'; where another package requires the older SQLAlchemy, "
            'remove cron.store: tasks run without a store too'
        )
