"""The machine and the versions, which figures depend on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

COMPARED = (
    'APScheduler',
    'celery',
    'celery-redbeat',
    'croniter',
    'cronsim',
    'procrastinate',
    'psycopg',
    'pycron',
    'pyramid',
    'redis',
    'SQLAlchemy',
    'waitress',
)


def machine() -> dict[str, Any]:
    """Return what the figures depend on, beside the servers."""
    return {
        'processor': _processor(),
        'cores': os.cpu_count(),
        'system': f'{platform.system()} {platform.machine()}',
        'python': f'{platform.python_implementation()} {platform.python_version()}',
        'versions': {name: importlib.metadata.version(name) for name in COMPARED},
    }


def _processor() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            return next(line.partition(':')[2].strip() for line in file if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or 'unknown'
