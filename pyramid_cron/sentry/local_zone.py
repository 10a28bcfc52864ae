"""The IANA name of the machine's local time zone, which Sentry needs for a schedule in local time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from pyramid_cron.schedules import clock

LINK, FILE = '/etc/localtime', '/etc/timezone'
ZONES = 'zoneinfo/'
# subfolders with the same zones again
VARIANTS = ('posix/', 'right/')
UTC = 'UTC'
HALF_A_MONTH, YEAR = timedelta(days=15), 25


def local_zone_name(now: datetime, environ: Mapping[str, str], link: str = LINK, file: str = FILE) -> str | None:
    """Return the name of the machine's time zone, ``None`` if it is not known.

    A name counts only if its zone has the same UTC offsets as the machine in the year from now on.

    :param now: an instant.
    :param environ: the environment of the process.
    :param link: the link by which the machine is set to its time zone.
    :param file: a file with the name of it.
    """
    return next((name for name in _candidates(environ, link, file) if _agrees(name, now)), None)


def _candidates(environ: Mapping[str, str], link: str, file: str) -> Iterator[str]:
    if environ.get('TZ'):
        yield environ['TZ'].removeprefix(':')
    else:
        name = os.path.realpath(link).partition(ZONES)[2]
        for variant in VARIANTS:
            name = name.removeprefix(variant)
        yield name
        if Path(file).is_file():
            yield Path(file).read_text(encoding='utf-8', errors='replace').strip()
    yield UTC


def _agrees(name: str, now: datetime) -> bool:
    try:
        zone = clock.parse_zone(name)
    except ValueError:
        return False
    instants = [now + number * HALF_A_MONTH for number in range(YEAR)]
    return all(clock.to_wall(instant, zone) == clock.to_wall(instant, None) for instant in instants)
