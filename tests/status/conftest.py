import pytest
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from webtest import TestApp

from pyramid_cron.schedules.clock import current_minute
from tests.support.status import FOR_EVERYBODY, add_task, user_header

PERMISSIONS = {'ada': {'read', 'write'}, 'bob': {'read'}}


class Policy:
    """A policy that trusts a header with the name of the user: ada may do anything, bob may read."""

    def authenticated_userid(self, request):
        return request.headers.get('User')

    identity = authenticated_userid

    def permits(self, request, context, permission):
        return permission in PERMISSIONS.get(self.authenticated_userid(request), ())


class Page:
    """An application with a status page, in a browser that keeps cookies."""

    def __init__(self, configure, settings, **options):
        self.config = Configurator(settings={'cron.timezone': 'UTC', 'cron.app': 'shop', **settings})
        self.config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
        self.config.include('pyramid_cron')
        self.config.include('pyramid_cron.status')
        configure(self.config)
        self.config.add_cron_status('/admin/cron', **(options or FOR_EVERYBODY))
        self.registry = self.config.registry
        self.browser = TestApp(self.config.make_wsgi_app())

    def get(self, path='', user=None, status=200):
        return self.browser.get(f'/admin/cron{path}', headers=user_header(user), status=status)

    def task(self, name='shop.task', user=None, **query):
        return self.get(f'/task?name={name}{"".join(f"&{key}={value}" for key, value in query.items())}', user)

    def press(self, action, name='shop.task', user=None, **fields):
        """Press a button on the page of a task, and return the page that comes then."""
        return self.press_on(self.task(name, user), action, user, **fields)

    def press_on(self, page, action, user=None, **fields):
        (form,) = (form for form in page.forms.values() if form.action.endswith(f'/{action}'))
        for key, value in fields.items():
            form[key] = value
        answer = form.submit(headers=user_header(user))
        assert (answer.status_int, answer.headers['Cache-Control']) == (303, 'no-store')
        return answer.follow(headers=user_header(user))

    @property
    def engine(self):
        return self.registry['cron_store'].database.engine


@pytest.fixture
def make_page():
    """Return a function that makes a :class:`Page`; its first argument registers tasks, the settings are its others."""
    pages = []

    def make(configure=add_task, policy=False, settings=None, **options):
        def prepare(config):
            if policy:
                config.set_security_policy(Policy())
            configure(config)

        pages.append(Page(prepare, settings or {}, **options))
        return pages[-1]

    yield make
    for page in pages:
        if page.registry['cron_settings'].store is not None:
            page.engine.dispose()


@pytest.fixture
def store(tmp_path):
    """The settings of a store in a file."""
    return {'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'}


@pytest.fixture
def now():
    return current_minute()
