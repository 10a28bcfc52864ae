"""The account that runs a command: the user that the history records for it."""

from __future__ import annotations

import getpass

from pyramid_cron.printable import user_name


def login_name() -> str | None:
    """Return the name of the account that runs the command, ``None`` if it has none, as in some containers."""
    try:
        return user_name(getpass.getuser())
    except (OSError, LookupError, ImportError):
        return None
