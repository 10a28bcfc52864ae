"""The account, and the time zone of schedules, as this process has them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from pyramid_cron.doctor.findings import FAIL, OK, WARN, Finding
from pyramid_cron.schedules import clock
from pyramid_cron.settings import Settings


def account_name() -> str:
    """Return the name of the account that this process has the rights of, or its uid."""
    if not hasattr(os, 'geteuid'):
        import getpass

        return getpass.getuser()
    # not a module of every system
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def is_root() -> bool:
    """Return whether this process may act as any account."""
    return hasattr(os, 'geteuid') and os.geteuid() == 0


def uid_of(account: str) -> int:
    """Return the uid of an account.

    :raises LookupError: if there is no such account.
    """
    # not a module of every system; only root on a system that has it gets here
    import pwd

    return pwd.getpwnam(account).pw_uid


def examine_account(account: str, others: Collection[str]) -> Finding:
    """Return what is found about the account.

    :param account: the account that examines.
    :param others: the accounts of the lines that trigger the application.
    """
    text = f'checked as {account}'
    if set(others) <= {account}:
        return Finding(OK, 'account', text)
    return Finding(OK, 'account', f'{text}, and lines of crontabs are of {", ".join(sorted(set(others)))}')


def examine_zone(settings: Settings, environ: Mapping[str, str], now: datetime) -> Iterator[Finding]:
    """Yield what is found about the time zone.

    :param environ: the environment of the process.
    :param now: the current instant.
    """
    wall = clock.to_zone(now, settings.timezone)
    shown = f'{wall:%a %H:%M} ({wall:%z})'
    if settings.timezone is not None:
        yield Finding(OK, 'zone', f'schedules are in {settings.timezone}, where it is {shown}')
        return
    unknown = clock.unknown_local_zone(environ)
    if unknown is not None:
        yield Finding(
            FAIL,
            'zone',
            f'TZ={unknown!r} names no time zone, and the machine takes it for UTC',
            'correct it, or set cron.timezone',
        )
    elif environ.get('TZ'):
        yield Finding(
            WARN,
            'zone',
            f'schedules are in local time, here {shown} by TZ={environ["TZ"]!r}, which the server may not have',
            'set cron.timezone',
        )
    else:
        yield Finding(OK, 'zone', f'schedules are in local time, here {shown}; cron.timezone is not set')
