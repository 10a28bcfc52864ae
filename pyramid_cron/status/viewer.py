"""The choices of a viewer: the time zone of all times on the pages, and how often a page is loaded again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPBadRequest

from pyramid_cron.schedules import clock

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

# the parameter of the query, and the cookie that keeps the last one that was valid
ZONE_PARAMETER, ZONE_COOKIE = 'tz', 'cron_tz'
LONGEST_ZONE = 64
ONE_YEAR = 365 * 86400

REFRESH_PARAMETER = 'refresh'
# seconds: what is shown changes once a minute, and a page that is left open must not load the server
REFRESH = range(10, 3601)
USUAL_REFRESH = 60

# a link to the same page is without the message about a button, and without what it changes
NOT_KEPT = ('flash', 'signature')


class Viewer(NamedTuple):
    """The choices of a viewer.

    :param zone: the time zone, ``None`` if the viewer has not chosen one.
    :param refresh: the seconds until the page is loaded again, ``None`` for a page that stays as it is.
    :param errors: what is wrong with the choices in the URL.
    """

    zone: ZoneInfo | None = None
    refresh: int | None = None
    errors: Sequence[str] = ()

    def zone_or(self, default: tzinfo | None) -> tzinfo | None:
        """Return the time zone of the times on a page: the only function that decides it.

        :param default: that of the application, or of the task that the page is about; ``None`` for the machine's.
        """
        return default if self.zone is None else self.zone

    @property
    def zone_name(self) -> str:
        """The name of the time zone that was chosen, empty if none was."""
        return '' if self.zone is None else self.zone.key


def read_viewer(request: Any) -> Viewer:
    """Return the choices of the viewer: those in the URL, or else the time zone in the cookie."""
    errors = []
    zone = refresh = None
    # one that another release of the zone database has named, or that was written by hand, is as if it were not there
    with contextlib.suppress(ValueError):
        zone = parse_zone(request.cookies.get(ZONE_COOKIE, ''))
    if ZONE_PARAMETER in request.GET:
        try:
            zone = parse_zone(request.GET[ZONE_PARAMETER])
        except ValueError as exc:
            errors.append(f'{ZONE_PARAMETER}: {exc}')
    try:
        refresh = _parse_refresh(request.GET.get(REFRESH_PARAMETER, ''))
    except ValueError as exc:
        errors.append(f'{REFRESH_PARAMETER}: {exc}')
    return Viewer(zone, refresh, tuple(errors))


def page_zone(request: Any) -> tzinfo | None:
    """Return the time zone of the times on pages that are not about one task."""
    return read_viewer(request).zone_or(request.registry['cron_settings'].timezone)


def typed_zone(request: Any, name: str) -> tzinfo | None:
    """Return the time zone in which a time was typed: the one beside the input, which the form has in a hidden field.

    :param name: the name in that field, empty for the time zone of the application.
    :raises pyramid.httpexceptions.HTTPBadRequest: if no time zone has that name.
    """
    try:
        zone = parse_zone(name)
    except ValueError as exc:
        raise HTTPBadRequest(f'zone: {exc}') from exc
    return Viewer(zone).zone_or(request.registry['cron_settings'].timezone)


def parse_zone(name: str) -> ZoneInfo | None:
    """Return the time zone of a name, ``None`` for an empty one.

    :raises ValueError: if no time zone has that name.
    """
    name = name.strip()
    if len(name) > LONGEST_ZONE:
        raise ValueError(f'{name[:LONGEST_ZONE]!r}… is longer than the name of any time zone')
    return clock.parse_zone(name) if name else None


def _parse_refresh(text: str) -> int | None:
    if text in ('', '0'):
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 5 and int(text) in REFRESH):
        raise ValueError(f'{text[:20]!r} is not a number of seconds from {REFRESH[0]} to {REFRESH[-1]}, or 0 for never')
    return int(text)


def remember_zone(request: Any, response: Any, viewer: Viewer, path: str) -> None:
    """Keep the time zone of the URL in a cookie, which has its name and nothing else.

    :param path: the path of the status page, for which alone the browser sends the cookie.
    """
    if ZONE_PARAMETER not in request.GET or any(error.startswith(f'{ZONE_PARAMETER}:') for error in viewer.errors):
        return
    options = {'path': path, 'httponly': True, 'samesite': 'Lax', 'secure': request.scheme == 'https'}
    if viewer.zone is None:
        response.set_cookie(ZONE_COOKIE, None, **options)
    else:
        response.set_cookie(ZONE_COOKIE, viewer.zone_name, max_age=ONE_YEAR, **options)


def kept_query(request: Any, *without: str) -> list[tuple[str, str]]:
    """Return the query of a page without the message about a button, and without some parameters."""
    return [(name, value) for name, value in request.GET.items() if name not in (*NOT_KEPT, *without)]


def here(request: Any, **changed: Any) -> str:
    """Return the path and query of the same page.

    :param changed: parameters with their new values, ``None`` to leave one out.
    """
    kept = kept_query(request, *changed)
    query = urlencode([*kept, *((name, value) for name, value in changed.items() if value is not None)])
    path: str = request.path
    return f'{path}?{query}' if query else path
