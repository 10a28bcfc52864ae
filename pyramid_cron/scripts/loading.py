"""Loading the application of the configuration file that the user of a command has named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid_cron.errors import CronError
from pyramid_cron.loading import Loaded, NotLoaded, load_file


class UsageError(CronError):
    """The command was used wrongly; the exit status is 2."""


def load(loader: Any, uri: str, variables: Mapping[str, str]) -> Loaded:
    """Load the application of a configuration file.

    :param loader: the loader that plaster has found for the file.
    :param uri: the file, and the name of a section if it is not ``main``.
    :param variables: variables of the file.
    :raises UsageError: if there is not exactly one application in it that includes pyramid_cron.
    """
    try:
        return load_file(uri, variables, loader)
    except NotLoaded as exc:
        raise UsageError(exc) from None
