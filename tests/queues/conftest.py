import pytest
from pyramid.config import Configurator


@pytest.fixture
def configure():
    """Return a function that returns a Configurator with these settings, named without their prefix."""

    def configure(**settings):
        config = Configurator(
            settings={f'cron.{name}': value for name, value in ({'app': 'shop', 'timezone': 'UTC'} | settings).items()}
        )
        config.include('pyramid_cron')
        return config

    return configure


@pytest.fixture
def make_app(configure):
    """Return a function that returns an application with one task, and closes its store at the end."""
    engines = []

    def make(body=lambda system: None, settings=None, **options):
        config = configure(**(settings or {}))
        config.add_cron_task(body, name='task', **options)
        app = config.make_wsgi_app()
        engines.append(app.registry['cron_store'].database.engine)
        return app

    yield make
    for engine in engines:
        engine.dispose()
