"""How an application gets a status page."""

from __future__ import annotations

from typing import Any, NamedTuple

from pyramid.csrf import LegacySessionCSRFStoragePolicy, SessionCSRFStoragePolicy
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import PHASE3_CONFIG, ICSRFStoragePolicy, ISecurityPolicy, ISessionFactory
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.settings import fixed_path

RENDERER = '.pyramid_cron_jinja2'
SETTINGS_PREFIX = 'pyramid_cron.jinja2.'
STATIC = 'pyramid_cron:status/static/'
# once everything else is configured
LAST = PHASE3_CONFIG + 10

# by which views of the page are found, behind its path; None is the page itself
READING = {'tasks': None, 'task': 'task', 'due': 'due'}
WRITING = ('run', 'pause', 'resume')


class _Missing:
    """What stands for an argument that has no default, to say what it has to be."""

    def __repr__(self) -> str:
        return 'nothing'


MISSING: Any = _Missing()


class StatusPage(NamedTuple):
    """One status page of an application.

    :param path: its path, with the prefix that it is registered under.
    :param permission: what one needs to see it.
    :param write_permission: what one needs to run, pause and resume tasks.
    """

    path: str
    permission: Any
    write_permission: Any

    def route(self, name: str) -> str:
        """Return the name of the route of one of its views."""
        return f'cron status {self.path} {name}'


def add_cron_status(
    config: Any, path: str, *, permission: Any = MISSING, write_permission: Any = None, factory: Any = None
) -> None:
    """Show the tasks at a path: the directive ``config.add_cron_status``.

    An application can have several such pages, for different people.

    :param path: a fixed path such as ``/admin/cron``; the prefix of the include it is called in is put before it.
    :param permission: the permission that one needs to see the page, or
        :data:`pyramid.security.NO_PERMISSION_REQUIRED` for a page that everybody may see.
    :param write_permission: the permission that one needs to run, pause and resume tasks; ``permission`` if it is left
        out. Who lacks it sees no buttons.
    :param factory: the root factory of its routes, for policies that ask the context; that of the application if it is
        left out.
    :raises pyramid.exceptions.ConfigurationError: without a permission, without a security policy to ask, without a
        place for CSRF tokens, and for the same path twice.
    """
    shown = f'cron status {path!r}'
    if 'cron_tasks' not in config.registry:
        raise ConfigurationError(f"{shown}: call config.include('pyramid_cron') first")
    try:
        fixed_path(path)
    except ValueError as exc:
        raise ConfigurationError(f'{shown}: {exc}') from exc
    write_permission = permission if write_permission is None else write_permission
    for name, value in {'permission': permission, 'write_permission': write_permission}.items():
        if not isinstance(value, str) or not value:
            raise ConfigurationError(
                f"{shown}: {name} is {value!r}, not the name of a permission; write permission='admin', as your "
                'security policy knows it, or permission=NO_PERMISSION_REQUIRED to let everybody in'
            )
    # slow to import, and only for an application that has a page
    from pyramid_cron.status.views import StatusViews, protected

    prefix = (config.route_prefix or '').strip('/')
    page = StatusPage('/'.join(['', *filter(None, [prefix, path.strip('/')])]), permission, write_permission)
    views = StatusViews(page)
    for name, segment in READING.items():
        config.add_route(page.route(name), '/'.join(filter(None, [path.rstrip('/'), segment])), factory=factory)
        config.add_view(
            getattr(views, name),
            route_name=page.route(name),
            request_method='GET',
            permission=permission,
            renderer=f'pyramid_cron:status/templates/{name}{RENDERER}',
            decorator=protected,
        )
    for name in WRITING:
        config.add_route(page.route(name), f'{path.rstrip("/")}/{name}', factory=factory)
        config.add_view(
            getattr(views, name),
            route_name=page.route(name),
            request_method='POST',
            permission=write_permission,
            require_csrf=True,
            decorator=protected,
        )
    # for a year: its address changes with it
    config.add_static_view(f'{path.strip("/")}/static', STATIC, cache_max_age=365 * 86400)

    introspectable = config.introspectable('cron status pages', page.path, page.path, 'cron status page')
    introspectable.update(page._asdict())

    def check() -> None:
        _require_policies(config.registry, page)

    config.action(('cron status', page.path), check, introspectables=(introspectable,), order=LAST)


def _require_policies(registry: Any, page: StatusPage) -> None:
    named = {page.permission, page.write_permission} - {NO_PERMISSION_REQUIRED}
    if named and registry.queryUtility(ISecurityPolicy) is None:
        raise ConfigurationError(
            f'cron status {page.path!r}: without a security policy nobody is asked for the permission '
            f'{", ".join(sorted(map(repr, named)))}, and everybody could see the page; call '
            'config.set_security_policy(), or write permission=NO_PERMISSION_REQUIRED to let everybody in'
        )
    storage = registry.queryUtility(ICSRFStoragePolicy)
    in_session = isinstance(storage, (LegacySessionCSRFStoragePolicy, SessionCSRFStoragePolicy))
    if in_session and registry.queryUtility(ISessionFactory) is None:
        raise ConfigurationError(
            f'cron status {page.path!r}: its buttons need CSRF tokens, and there is no session to keep them '
            'in; call config.set_session_factory(), or config.set_csrf_storage_policy(CookieCSRFStoragePolicy()) '
            'from pyramid.csrf'
        )
