"""The directive ``config.add_cron_status``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.csrf import LegacySessionCSRFStoragePolicy, SessionCSRFStoragePolicy
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import (
    PHASE3_CONFIG,
    ICSRFStoragePolicy,
    IDefaultCSRFOptions,
    ISecurityPolicy,
    ISessionFactory,
)
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.orders import cron_path
from pyramid_cron.run_addresses import STATUS_PAGES
from pyramid_cron.settings import fixed_path
from pyramid_cron.status.page import READ_VIEWS, RENDERER, STATIC, TEMPLATES, WRITE_VIEWS, StatusPage

# once everything else is configured
LAST = PHASE3_CONFIG + 10

ONE_YEAR = 365 * 86400


def add_cron_status(
    config: Any, path: str, *, permission: Any = None, write_permission: Any = None, factory: Any = None
) -> None:
    """Add a page of the tasks at a path: the directive ``config.add_cron_status``.

    An application can have several such pages, with different permissions.

    :param path: a fixed path such as ``/admin/cron``; a ``route_prefix`` goes before it.
    :param permission: the permission to see the page, or :data:`pyramid.security.NO_PERMISSION_REQUIRED` for a page
        without one. Required.
    :param write_permission: the permission for the buttons, which run, pause, resume and stop tasks. A user without it
        sees no buttons. If it is left out, it is ``permission``, and a page that everybody may see has no buttons.
    :param factory: the root factory of its routes, for security policies that use the context; the root factory of the
        application if it is left out.
    :raises pyramid.exceptions.ConfigurationError: without a permission; with a permission, but without a security
        policy in the application; for a page with buttons, if the application has neither a session factory nor a
        storage policy for CSRF tokens, or has called ``config.set_default_csrf_options`` with ``token=None``; for a
        path at or below the path of the tick; for a second page at the same path.
    """
    shown = f'cron status {path!r}'
    if 'cron_tasks' not in config.registry:
        raise ConfigurationError(f"{shown}: call config.include('pyramid_cron') first")
    try:
        fixed_path(path)
    except ValueError as exc:
        raise ConfigurationError(f'{shown}: {exc}') from exc
    for name, value in {'permission': permission, 'write_permission': write_permission}.items():
        if value is None and name == 'write_permission':
            continue
        if not isinstance(value, str) or not value:
            raise ConfigurationError(
                f"{shown}: {name} is {value!r}, not the name of a permission; write permission='admin', as your "
                'security policy knows it, or permission=NO_PERMISSION_REQUIRED for a page that everybody may see'
            )
    if write_permission is None and permission != NO_PERMISSION_REQUIRED:
        write_permission = permission
    prefix = (config.route_prefix or '').strip('/')
    page = StatusPage('/'.join(['', *filter(None, [prefix, path.strip('/')])]), permission, write_permission)
    _add_views(config, path, page, factory)
    # its URL changes with its content
    config.add_static_view(f'{path.strip("/")}/static', STATIC, cache_max_age=ONE_YEAR)

    introspectable = config.introspectable(STATUS_PAGES, page.path, page.path, 'cron status page')
    introspectable.update(page._asdict())

    def check() -> None:
        _require_path(config.registry, page)
        _require_policies(config.registry, page)
        if page.write_permission is not None:
            _require_csrf_tokens(config.registry, page)

    config.action(('cron status', page.path), check, introspectables=(introspectable,), order=LAST)


def _add_views(config: Any, path: str, page: StatusPage, factory: Any) -> None:
    # imported here, because it needs what the extra installs
    from pyramid_cron.status.security_headers import with_security_headers
    from pyramid_cron.status.views import StatusViews, refuse

    views = StatusViews(page)
    for name, segment in {**READ_VIEWS, **WRITE_VIEWS}.items():
        view: Callable[..., Any] = views.view(name)
        if name in READ_VIEWS:
            template = f'{TEMPLATES}{name}{RENDERER}'
            options = {'request_method': 'GET', 'permission': page.permission, 'renderer': template}
        elif page.write_permission is None:
            view = refuse
            options = {'request_method': 'POST', 'permission': page.permission, 'require_csrf': False}
        else:
            options = {'request_method': 'POST', 'permission': page.write_permission, 'require_csrf': True}
        config.add_route(page.route(name), '/'.join(filter(None, [path.rstrip('/'), segment])), factory=factory)
        config.add_view(view, route_name=page.route(name), decorator=with_security_headers, **options)


def _require_path(registry: Any, page: StatusPage) -> None:
    trigger = f'/{cron_path(registry).strip("/")}'
    for segment in (*READ_VIEWS.values(), *WRITE_VIEWS.values(), 'static'):
        path = f'{page.path}/{segment}'
        if f'{path}/'.startswith(f'{trigger}/'):
            raise ConfigurationError(
                f'cron status {page.path!r}: {path.rstrip("/")} is the path of the trigger, {trigger} (cron.path), or '
                'below it, which proxies are to refuse; choose a path outside of it, such as /admin/cron'
            )


def _require_policies(registry: Any, page: StatusPage) -> None:
    named = {page.permission, page.write_permission} - {NO_PERMISSION_REQUIRED, None}
    if named and registry.queryUtility(ISecurityPolicy) is None:
        raise ConfigurationError(
            f'cron status {page.path!r}: there is no security policy to check the permission '
            f'{", ".join(sorted(map(repr, named)))}, and everybody could see the page; call '
            'config.set_security_policy(), or write permission=NO_PERMISSION_REQUIRED for a page that everybody may see'
        )


def _require_csrf_tokens(registry: Any, page: StatusPage) -> None:
    options = registry.queryUtility(IDefaultCSRFOptions)
    if options is not None and not options.token:
        raise ConfigurationError(
            f'cron status {page.path!r}: its buttons send CSRF tokens in a field of a form, and '
            f'config.set_default_csrf_options(token={options.token!r}) takes them from a header only; leave token= '
            'out, or set it to the name of a field'
        )
    storage = registry.queryUtility(ICSRFStoragePolicy)
    in_session = isinstance(storage, (LegacySessionCSRFStoragePolicy, SessionCSRFStoragePolicy))
    if in_session and registry.queryUtility(ISessionFactory) is None:
        raise ConfigurationError(
            f'cron status {page.path!r}: its buttons need CSRF tokens, and there is no session to keep them '
            'in; call config.set_session_factory(), or '
            "config.set_csrf_storage_policy(CookieCSRFStoragePolicy('__Host-csrf_token', secure=True)) from "
            'pyramid.csrf'
        )
