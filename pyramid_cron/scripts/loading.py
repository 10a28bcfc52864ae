"""Loading the application that a configuration file names, and finding whose tasks are meant."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import walk_tb
from typing import Any, NamedTuple

from pyramid.config import global_registries
from pyramid.exceptions import ConfigurationError
from pyramid.router import Router

# the kinds of sections that PasteDeploy makes one application of
KINDS = ('app', 'application', 'pipeline', 'filter-app')
COMPOSITES = ('composite', 'composit')


class Refused(Exception):
    """What the command was asked for cannot be done; its text says why."""


class Loaded(NamedTuple):
    """An application that was loaded.

    :param app: the WSGI application, with all that is around it.
    :param registry: that of the application whose tasks are meant.
    :param remedy: what to do if another one answers; empty if there is no other.
    """

    app: Any
    registry: Any
    remedy: str


def load(loader: Any, uri: str, variables: Mapping[str, str]) -> Loaded:
    """Load the application of a configuration file, such as ``app.ini`` or ``app.ini#name``.

    :param loader: what plaster has found for the file.
    :param uri: the file, and the name of a section if it is not ``main``.
    :param variables: variables of the file.
    :raises Refused: if it has no section of that name, or if it cannot be said whose tasks are meant.
    """
    file, _, name = uri.partition('#')
    sections = loader.get_sections()
    if name and sections and name not in _names(sections, KINDS + COMPOSITES):
        raise Refused(f'{file} has no application {name!r}; it has {", ".join(_names(sections, KINDS + COMPOSITES))}')
    others = [known for known in _names(sections, KINDS) if known != (name or 'main')]
    # kept, because a set that forgets them does not tell what is new
    before = list(global_registries)
    app = _get_app(loader, uri, variables)
    if isinstance(app, Router):
        made = [app.registry]
        others = []
    else:
        made = [registry for registry in global_registries if not any(registry is known for known in before)]
    registries = [registry for registry in made if 'cron_tasks' in registry]
    if not registries:
        raise Refused(f"the application of {uri} does not include pyramid_cron: add config.include('pyramid_cron')")
    example = f'as in {file}#{others[0] if others else "name"}'
    known = f'; {file} has {", ".join(others)}' if others else ''
    if len(registries) > 1:
        raise Refused(
            f'the application of {uri} is made of {len(registries)} that include pyramid_cron: '
            f'name the section of one of them, {example}{known}'
        )
    remedy = f'; if that was another application than the one with the tasks, name its section, {example}{known}'
    return Loaded(app, registries[0], remedy if others else '')


def _get_app(loader: Any, uri: str, variables: Mapping[str, str]) -> Any:
    try:
        return loader.get_wsgi_app(None, variables)
    except (ConfigurationError, ImportError) as exc:
        problem = f'{type(exc).__name__}: {exc}'
    except (LookupError, AttributeError) as exc:
        # one that the application raises is a mistake in it, whose place has to be told
        if not _raised_by_loader(exc):
            raise
        problem = str(exc)
    raise Refused(f'the application of {uri} cannot be made: {" ".join(problem.split())}')


def _raised_by_loader(exc: BaseException) -> bool:
    *_, (frame, _) = walk_tb(exc.__traceback__)
    return str(frame.f_globals.get('__name__')).startswith('paste.')


def _names(sections: list[str], kinds: tuple[str, ...]) -> list[str]:
    pairs = [section.partition(':') for section in sections]
    return [name.strip() for kind, _, name in pairs if kind in kinds]
