"""Loading the application that a configuration file names, and finding the one that has the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import walk_tb
from typing import Any, NamedTuple

from pyramid.config import global_registries
from pyramid.exceptions import ConfigurationError
from pyramid.router import Router

from pyramid_cron.errors import CronError
from pyramid_cron.printable import class_name, message

# the kinds of sections that PasteDeploy makes one application of
KINDS = ('app', 'application', 'pipeline', 'filter-app')
COMPOSITES = ('composite', 'composit')


class UsageError(CronError):
    """The command was used wrongly; the exit status is 2."""


class Loaded(NamedTuple):
    """A loaded application.

    :param app: the WSGI application, with its filters and mounts.
    :param registry: the registry of the Pyramid application that has the tasks.
    :param remedy: what to do if another application answers; empty if there is no other.
    """

    app: Any
    registry: Any
    remedy: str


def load(loader: Any, uri: str, variables: Mapping[str, str]) -> Loaded:
    """Load the application of a configuration file, such as ``app.ini`` or ``app.ini#name``.

    :param loader: the loader that plaster has found for the file.
    :param uri: the file, and the name of a section if it is not ``main``.
    :param variables: variables of the file.
    :raises UsageError: if it has no section of that name, if the application cannot be made, or if not exactly one of
        the applications that it is made of includes pyramid_cron.
    """
    file, _, name = uri.partition('#')
    sections = loader.get_sections()
    applications = _names(sections, KINDS + COMPOSITES)
    if name and sections and name not in applications:
        raise UsageError(f'{file} has no application {name!r}; it has {", ".join(applications)}')
    others = [known for known in _names(sections, KINDS) if known != (name or 'main')]
    # strong references: a new registry may take the place in memory of one that is gone
    before = list(global_registries)
    app = _get_app(loader, uri, variables)
    if isinstance(app, Router):
        made = [app.registry]
        others = []
    else:
        made = [registry for registry in global_registries if not any(registry is known for known in before)]
    registries = [registry for registry in made if 'cron_tasks' in registry]
    if not registries:
        raise UsageError(f"the application of {uri} does not include pyramid_cron: add config.include('pyramid_cron')")
    example = f'as in {file}#{others[0] if others else "name"}'
    known = f'; {file} has {", ".join(others)}' if others else ''
    if len(registries) > 1:
        raise UsageError(
            f'the application of {uri} is made of {len(registries)} that include pyramid_cron: '
            f'name the section of one of them, {example}{known}'
        )
    remedy = f'; if that was another application than the one with the tasks, name its section, {example}{known}'
    return Loaded(app, registries[0], remedy if others else '')


def _get_app(loader: Any, uri: str, variables: Mapping[str, str]) -> Any:
    try:
        return loader.get_wsgi_app(None, variables)
    except (ConfigurationError, ImportError) as exc:
        problem = f'{class_name(exc)}: {message(exc)}'
    except (LookupError, AttributeError) as exc:
        # an error that the application raises is a mistake in it, and needs its traceback
        if not _raised_by_loader(exc):
            raise
        problem = message(exc)
    raise UsageError(f'the application of {uri} cannot be made: {problem}')


def _raised_by_loader(exc: BaseException) -> bool:
    *_, (frame, _) = walk_tb(exc.__traceback__)
    return str(frame.f_globals.get('__name__')).startswith('paste.')


def _names(sections: list[str], kinds: tuple[str, ...]) -> list[str]:
    pairs = [section.partition(':') for section in sections]
    return [name.strip() for kind, _, name in pairs if kind in kinds]
