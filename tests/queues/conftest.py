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
