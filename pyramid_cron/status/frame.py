"""The values of the frame around each page: what it is about, the present time, the viewer's choices, its files."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from markupsafe import Markup, escape
from pyramid.path import AssetResolver

from pyramid_cron.schedules import clock
from pyramid_cron.status.formatting import format_present
from pyramid_cron.status.identity import identify
from pyramid_cron.status.links import link_addresses
from pyramid_cron.status.page import STATIC
from pyramid_cron.status.viewer import USUAL_REFRESH, here, kept_query, page_zone, read_viewer, remember_zone
from pyramid_cron.task_summary import LOCAL_TIME


def frame_values(request: Any, path: str) -> dict[str, Any]:
    """Return the values of the frame, and keep the time zone that the viewer has chosen.

    :param path: the path of the page of all tasks.
    """
    identity, viewer, zone = identify(request.registry), read_viewer(request), page_zone(request)
    remember_zone(request, request.response, viewer, path)
    return {
        'stylesheet': _file_path(request, 'status.css'),
        'icon': _file_path(request, 'icon.svg'),
        'identity': identity,
        'app': identity.app,
        'environment': identity.environment,
        'zone': str(zone or LOCAL_TIME),
        'application_zone': str(request.registry['cron_settings'].timezone or LOCAL_TIME),
        'present': format_present(clock.now(), zone),
        'viewer': viewer,
        'usual_refresh': USUAL_REFRESH,
        'here_path': request.path,
        'here': functools.partial(here, request),
        'kept_query': functools.partial(kept_query, request),
        'breakable': breakable,
        'linked': link_addresses,
    }


def breakable(name: str) -> Markup:
    """Return the name of a task with places at the ends of its words where a narrow column may break it."""
    return escape(name).replace('.', Markup('.<wbr>')).replace('_', Markup('_<wbr>'))


def _file_path(request: Any, name: str) -> str:
    """Return the path of a static file, with a digest: the application may have overridden the file."""
    with AssetResolver(None).resolve(f'{STATIC}{name}').stream() as file:
        digest = hashlib.sha256(file.read()).hexdigest()[:12]
    path: str = request.static_path(f'{STATIC}{name}', _query={'v': digest})
    return path
