"""The directive: what it refuses, where the page is, and which permissions it needs."""

import pytest
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.session import SignedCookieSessionFactory
from webtest import TestApp

EVERYBODY = NO_PERMISSION_REQUIRED


class Policy:
    def permits(self, request, context, permission):
        return getattr(context, 'open', permission == 'open')

    def authenticated_userid(self, request):
        return None

    identity = authenticated_userid


def configurator(policy=True, storage=True, **settings):
    config = Configurator(settings=settings)
    if policy:
        config.set_security_policy(Policy())
    if storage:
        config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
    config.include('pyramid_cron')
    config.include('pyramid_cron.status')
    return config


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {},
            "cron status '/cron-tasks': permission is None, not the name of a permission; write permission='admin'",
        ),
        ({'permission': None}, 'permission is None'),
        ({'permission': ''}, "permission is ''"),
        ({'permission': 'admin', 'write_permission': 5}, 'write_permission is 5'),
        ({'permission': EVERYBODY, 'write_permission': ''}, "write_permission is ''"),
    ],
)
def test_a_permission_has_to_be_named(options, message):
    with pytest.raises(ConfigurationError) as caught:
        configurator().add_cron_status('/cron-tasks', **options)
    assert message in str(caught.value)


@pytest.mark.parametrize('path', ['', '/', 'a//b', '/{task}', 5])
def test_the_path_is_a_fixed_one(path):
    with pytest.raises(ConfigurationError, match=r'cron status .* it has to be one fixed path'):
        configurator().add_cron_status(path, permission='admin')


def test_the_tasks_are_included_first():
    config = Configurator()
    config.include('pyramid_cron.status')
    with pytest.raises(ConfigurationError, match=r"call config.include\('pyramid_cron'\) first"):
        config.add_cron_status('/admin/cron', permission='admin')


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ({'permission': 'admin'}, "permission 'admin'"),
        ({'permission': EVERYBODY, 'write_permission': 'write'}, "permission 'write'"),
        ({'permission': 'read', 'write_permission': 'write'}, "permission 'read', 'write'"),
    ],
)
def test_without_a_security_policy_the_application_does_not_start(options, named):
    config = configurator(policy=False)
    config.add_cron_status('/admin/cron', **options)
    with pytest.raises(ConfigurationError) as caught:
        config.make_wsgi_app()
    assert f'there is no security policy to check the {named}, and everybody could see the page' in str(caught.value)


def test_a_page_for_everybody_needs_no_security_policy():
    config = configurator(policy=False)
    config.add_cron_status('/admin/cron', permission=EVERYBODY)
    assert TestApp(config.make_wsgi_app()).get('/admin/cron').status_int == 200


def test_a_policy_that_is_set_later_is_found():
    config = configurator(policy=False)
    config.add_cron_status('/admin/cron', permission='admin')
    config.set_security_policy(Policy())
    TestApp(config.make_wsgi_app()).get('/admin/cron', status=403)


def test_csrf_tokens_need_a_place():
    config = configurator(storage=False)
    config.add_cron_status('/admin/cron', permission='open')
    with pytest.raises(ConfigurationError, match='its buttons need CSRF tokens, and there is no session'):
        config.make_wsgi_app()
    config = configurator(storage=False)
    config.add_cron_status('/admin/cron', permission='open')
    config.set_session_factory(SignedCookieSessionFactory('secret'))
    assert TestApp(config.make_wsgi_app()).get('/admin/cron').status_int == 200


def test_a_page_without_buttons_needs_no_csrf_tokens():
    config = configurator(policy=False, storage=False)
    config.set_default_csrf_options(token=None)
    config.add_cron_status('/admin/cron', permission=EVERYBODY)
    browser = TestApp(config.make_wsgi_app())
    assert browser.get('/admin/cron?flash=You+won&signature=0').status_int == 200


def test_csrf_tokens_need_a_field_of_the_form():
    config = configurator()
    config.set_default_csrf_options(token=None)
    config.add_cron_status('/admin/cron', permission='open')
    with pytest.raises(ConfigurationError) as caught:
        config.make_wsgi_app()
    assert '(token=None) takes them from a header only; leave token= out, or set it to the name of a field' in str(
        caught.value
    )


@pytest.mark.parametrize(
    ('trigger', 'page', 'refused'),
    [
        ('/cron', '/cron', '/cron'),
        ('/cron', '/cron/status', '/cron/status'),
        ('cron/', '/cron/', '/cron'),
        ('/ops/tick', '/ops/tick/page', '/ops/tick/page'),
        # its button would be the trigger
        ('/ops/run', '/ops', '/ops/run'),
        ('/ops/static', '/ops', '/ops/static'),
    ],
)
def test_a_page_below_the_trigger_is_refused(trigger, page, refused):
    config = configurator(**{'cron.path': trigger})
    config.add_cron_status(page, permission='open')
    with pytest.raises(ConfigurationError) as caught:
        config.make_wsgi_app()
    message = str(caught.value)
    assert f'{refused} is the path of the trigger, /{trigger.strip("/")} (cron.path), or below it' in message
    assert 'choose a path outside of it, such as /admin/cron' in message


@pytest.mark.parametrize(('trigger', 'page'), [('/cron', '/cron-tasks'), ('/admin/cron/tick', '/admin/cron')])
def test_a_page_beside_the_trigger_is_not(trigger, page):
    config = configurator(**{'cron.path': trigger})
    config.add_cron_status(page, permission='open')
    assert TestApp(config.make_wsgi_app()).get(page).status_int == 200


def test_the_prefix_of_the_trigger_counts():
    config = Configurator()
    config.set_security_policy(Policy())
    config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
    config.include('pyramid_cron', route_prefix='/shop')
    config.include('pyramid_cron.status')
    config.add_cron_status('/shop/cron/tasks', permission='open')
    with pytest.raises(ConfigurationError, match=r'is the path of the trigger, /shop/cron \(cron.path\)'):
        config.make_wsgi_app()


def test_an_application_has_several_pages_but_one_at_a_path():
    config = configurator()
    config.add_cron_status('/staff/cron', permission='open')
    config.add_cron_status('/admin/cron', permission='closed')
    browser = TestApp(config.make_wsgi_app())
    assert 'href="/staff/cron/due"' in browser.get('/staff/cron')
    browser.get('/admin/cron', status=403)
    config = configurator()
    config.add_cron_status('/admin/cron', permission='open')
    config.add_cron_status('/admin/cron/', permission='closed')
    with pytest.raises(ConfigurationConflictError):
        config.commit()


def test_the_factory_makes_the_context_of_the_policy():
    class Open:
        def __init__(self, request):
            self.open = True

    config = configurator()
    config.add_cron_status('/admin/cron', permission='admin', factory=Open)
    assert TestApp(config.make_wsgi_app()).get('/admin/cron').status_int == 200


def test_the_applications_default_permission_and_csrf_check_are_unused():
    config = configurator()
    config.set_default_permission('closed')
    config.set_default_csrf_options(require_csrf=True, token='token')
    config.add_cron_task(print, name='shop.task', min=0)
    config.add_cron_status('/admin/cron', permission='open')
    browser = TestApp(config.make_wsgi_app())
    assert browser.get('/admin/cron/static/status.css').status_int == 200
    assert 'name="token"' in browser.get('/admin/cron/task?name=shop.task')


def test_the_page_shows_in_the_introspection():
    config = configurator()
    with config.route_prefix_context('/shop'):
        config.add_cron_status('/admin/cron/', permission='open')
    config.commit()
    (found,) = config.registry.introspector.get_category('cron status pages')
    assert dict(found['introspectable']) == {
        'path': '/shop/admin/cron',
        'permission': 'open',
        'write_permission': 'open',
    }


def test_it_works_under_a_route_prefix_and_a_script_name():
    config = configurator()
    with config.route_prefix_context('/shop'):
        config.add_cron_status('/admin/cron', permission='open')
    config.add_cron_task(print, name='shop.task', min=0)
    browser = TestApp(config.make_wsgi_app(), extra_environ={'SCRIPT_NAME': '/outer'})
    page = browser.get('/outer/shop/admin/cron')
    links = page.text.split('href="')[1:]
    assert [link for link in links if not link.startswith(('/outer/shop/admin/cron', '#'))] == []
    sheet = page.text.split('<link rel="stylesheet" href="')[1].split('"')[0]
    assert browser.get(sheet).content_type == 'text/css'
    task = browser.get('/outer/shop/admin/cron/task?name=shop.task')
    assert 'action="/outer/shop/admin/cron/run"' in task
    assert browser.get('/outer/shop/admin/cron/due').status_int == 200


def test_templates_and_stylesheet_can_be_overridden(tmp_path, monkeypatch):
    package = tmp_path / 'overriding'
    package.mkdir()
    # it looks in the folder of the package that includes it
    (package / '__init__.py').write_text('def includeme(config):\n    config.include("pyramid_jinja2")\n')
    (package / 'base.pyramid_cron_jinja2').write_text('<p>Ours</p>{% block main %}{% endblock %}')
    (package / 'own.jinja2').write_text('{{ missing }}own')
    (package / 'status.css').write_text('body { color: red }')
    monkeypatch.syspath_prepend(tmp_path)
    config = configurator()
    config.include('overriding')
    for part, name in {'templates': 'base.pyramid_cron_jinja2', 'static': 'status.css'}.items():
        config.override_asset(f'pyramid_cron:status/{part}/{name}', f'overriding:{name}')
    config.add_route('own', '/own')
    config.add_view(lambda request: {}, route_name='own', renderer='overriding:own.jinja2')
    config.add_cron_status('/admin/cron', permission='open')
    browser = TestApp(config.make_wsgi_app())
    page = browser.get('/admin/cron')
    assert page.text.startswith('<p>Ours</p>')
    assert 'Last tick' in page.text
    assert browser.get('/admin/cron/static/status.css').text == 'body { color: red }'
    # their undefined names are not strict
    assert browser.get('/own').text == 'own'
