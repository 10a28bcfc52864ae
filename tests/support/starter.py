"""An application in the shape that the cookiecutter of Pyramid (pyramid-cookiecutter-starter, SQLAlchemy) gives one.

Its files are the ones of the cookiecutter that matter to Alembic and to the store, in words of our own: the place of
the models, the settings, ``alembic/env.py``, and a ``tests/conftest.py`` that migrates a database at the start of the
tests and empties it at their end.
"""

FILES = {
    'shop/__init__.py': """
from pyramid.config import Configurator


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.include('.models')
        config.add_cron_task('shop.tasks.note', min='*')
    return config.make_wsgi_app()
""",
    'shop/tasks.py': """
from shop.models.note import Note


def note(system):
    system['request'].dbsession.add(Note(text='by the task'))
""",
    'shop/models/meta.py': """
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            'ix': 'ix_%(column_0_label)s',
            'uq': 'uq_%(table_name)s_%(column_0_name)s',
            'ck': 'ck_%(table_name)s_`%(constraint_name)s`',
            'fk': 'fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s',
            'pk': 'pk_%(table_name)s',
        }
    )
""",
    'shop/models/note.py': """
from sqlalchemy import Column, Index, Integer, Text

from .meta import Base


class Note(Base):
    __tablename__ = 'notes'
    id = Column(Integer, primary_key=True)
    text = Column(Text)


Index('my_index', Note.text, mysql_length=255)
""",
    'shop/models/__init__.py': """
import zope.sqlalchemy
from sqlalchemy import engine_from_config
from sqlalchemy.orm import configure_mappers, sessionmaker

from .note import Note

configure_mappers()


def get_engine(settings, prefix='sqlalchemy.'):
    return engine_from_config(settings, prefix)


def get_tm_session(factory, manager, request=None):
    session = factory(info={'request': request})
    zope.sqlalchemy.register(session, transaction_manager=manager)
    return session


def includeme(config):
    settings = config.get_settings()
    settings['tm.manager_hook'] = 'pyramid_tm.explicit_manager'
    config.include('pyramid_tm')
    config.include('pyramid_retry')
    factory = sessionmaker(settings.get('dbengine') or get_engine(settings))
    config.registry['dbsession_factory'] = factory

    def dbsession(request):
        given = request.environ.get('app.dbsession')
        return get_tm_session(factory, request.tm, request) if given is None else given

    config.add_request_method(dbsession, reify=True)
""",
    'shop/alembic/env.py': """
from alembic import context
from pyramid.paster import get_appsettings, setup_logging
from shop.models.meta import Base
from sqlalchemy import engine_from_config

config = context.config

setup_logging(config.config_file_name)

settings = get_appsettings(config.config_file_name)
target_metadata = Base.metadata

engine = engine_from_config(settings, prefix='sqlalchemy.')
connection = engine.connect()
context.configure(
    connection=connection,
    target_metadata=target_metadata
)
try:
    with context.begin_transaction():
        context.run_migrations()
finally:
    connection.close()
""",
    'shop/alembic/script.py.mako': '''
"""${message}"""
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}

def upgrade():
    ${upgrades if upgrades else "pass"}

def downgrade():
    ${downgrades if downgrades else "pass"}
''',
    'shop/alembic/versions/README.txt': '',
    'tests/conftest.py': """
import os

import alembic.command
import alembic.config
import pytest
import transaction
import webtest
from pyramid.paster import get_appsettings
from shop import main, models
from shop.models.meta import Base


@pytest.fixture(scope='session')
def ini_file():
    return os.path.abspath('testing.ini')


@pytest.fixture(scope='session')
def dbengine(ini_file):
    engine = models.get_engine(get_appsettings(ini_file))

    alembic_cfg = alembic.config.Config(ini_file)
    Base.metadata.drop_all(bind=engine)
    alembic.command.stamp(alembic_cfg, 'base', purge=True)

    alembic.command.upgrade(alembic_cfg, 'head')

    yield engine

    Base.metadata.drop_all(bind=engine)
    alembic.command.stamp(alembic_cfg, 'base', purge=True)


@pytest.fixture(scope='session')
def app(ini_file, dbengine):
    return main({}, dbengine=dbengine, **get_appsettings(ini_file))


@pytest.fixture
def tm():
    tm = transaction.TransactionManager(explicit=True)
    tm.begin()
    tm.doom()

    yield tm

    tm.abort()


@pytest.fixture
def dbsession(app, tm):
    return models.get_tm_session(app.registry['dbsession_factory'], tm)


@pytest.fixture
def testapp(app, tm, dbsession):
    return webtest.TestApp(
        app,
        extra_environ={
            'HTTP_HOST': 'example.com',
            'tm.active': True,
            'tm.manager': tm,
            'app.dbsession': dbsession,
        },
    )
""",
    'tests/test_functional.py': """
from datetime import datetime, timezone

from pyramid_cron.testing import tick
from shop.models import Note


def test_a_view_is_not_found(testapp):
    testapp.get('/badurl', status=404)


def test_the_task_writes_a_note(testapp, dbsession):
    report = tick(testapp, datetime.now(timezone.utc))
    assert report.names('ok') == ['shop.tasks.note'], str(report)
    assert [note.text for note in dbsession.query(Note)] == ['by the task']
""",
}

INI = """
[app:main]
use = call:shop:main
pyramid.default_locale_name = en
sqlalchemy.url = {url}
retry.attempts = 3
{settings}

[alembic]
script_location = shop/alembic
file_template = %%(year)d%%(month).2d%%(day).2d_%%(rev)s

[loggers]
keys = root, alembic

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARN
handlers = console

[logger_alembic]
level = INFO
handlers =
qualname = alembic

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %(levelname)s %(name)s %(message)s
"""


def write_starter(folder):
    """Write the files of the application."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())


def write_ini(path, url, **settings):
    """Write an ini file with the URL of a database, and settings beside it.

    :param settings: their names without the prefix ``cron.``.
    """
    lines = '\n'.join(f'cron.{name} = {value}' for name, value in settings.items())
    path.write_text(INI.format(url=url.replace('%', '%%'), settings=lines))
