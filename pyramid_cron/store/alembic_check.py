"""Checks that Alembic knows the tables of the store: for ``pcron store check``."""

from __future__ import annotations

import configparser
import importlib.util
import re
from pathlib import Path

from sqlalchemy import Inspector

# the table in which Alembic keeps its version, unless env.py names another
VERSION_TABLE = 'alembic_version'
# include_name of the store, or its metadata
KNOWS_STORE = re.compile(r'pyramid_cron(\.|\s+import\s+)store\b')
LINES = ('from pyramid_cron.store import include_name', 'context.configure(..., include_name=include_name)')


def shares_database(inspector: Inspector) -> bool:
    """Return whether Alembic manages tables of the same database."""
    return inspector.has_table(VERSION_TABLE)


def find_env(config_uri: str) -> Path | None:
    """Return the ``env.py`` that an ini file names in its section ``[alembic]``, ``None`` if it is not found.

    The ini file is that of the application, or ``alembic.ini`` beside it. Alembic looks in the folder in which it is
    started, which may be another one.

    :param config_uri: the ini file of the application, with or without a section behind ``#``.
    """
    ini = Path(config_uri.partition('#')[0]).absolute()
    for file in (ini, ini.with_name('alembic.ini')):
        location = _script_location(file)
        if location is not None:
            folders = [_of_package(location), Path(location), file.parent / location]
            return next((found for folder in folders if folder and (found := folder / 'env.py').is_file()), None)
    return None


def _script_location(ini: Path) -> str | None:
    parser = configparser.RawConfigParser()
    try:
        parser.read(ini, encoding='utf-8')
    except (OSError, ValueError, configparser.Error):
        return None
    location = parser.get('alembic', 'script_location', fallback=None)
    return None if location is None else location.replace('%(here)s', str(ini.parent))


def _of_package(location: str) -> Path | None:
    """Return the folder of a location such as ``shop:alembic``, ``None`` if it is no such location."""
    package, colon, folder = location.partition(':')
    if not colon or not package.isidentifier():
        return None
    spec = importlib.util.find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / folder


def knows_store(env: Path) -> bool:
    """Return whether a file ``env.py`` names the store."""
    return KNOWS_STORE.search(env.read_text(encoding='utf-8', errors='replace')) is not None
