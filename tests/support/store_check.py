"""``pcron store check`` for applications as they really are."""

import re

from sqlalchemy import create_engine, select, text

from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.store.migrations import upgrade
from pyramid_cron.store.schema import processes

APP = """
import contextlib

import sqlalchemy
import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.response import Response
from sqlalchemy.orm import Session, scoped_session, sessionmaker

def registered(request):
    session = Session(request.registry['engine'])
    zope.sqlalchemy.register(session, transaction_manager=request.tm)
    return session

def scoped(request):
    factory = scoped_session(sessionmaker(request.registry['engine']))
    zope.sqlalchemy.register(factory, transaction_manager=request.tm)
    return factory

def plain(request):
    return Session(request.registry['engine'])

def nothing(request):
    return None

def broken(request):
    raise LookupError('no engine today')

def closed(handler, registry):
    return lambda request: Response(status=503)

def commits_last(handler, registry):
    def commit(request):
        response = handler(request)
        request.dbsession.commit()
        return response
    return commit

@contextlib.contextmanager
def commits(system):
    with system['request'].dbsession.begin():
        yield

def main(global_config, kind='registered', **settings):
    with Configurator(settings=settings) as config:
        if settings.get('tm') != 'no':
            config.include('pyramid_tm')
        config.include('pyramid_cron')
        config.registry['engine'] = sqlalchemy.create_engine(settings.get('sqlalchemy.url', settings['cron.store']))
        config.add_request_method(globals()[kind], 'dbsession', reify=True)
        if 'tween' in settings:
            config.add_tween(f"{__name__}.{settings['tween']}")
        config.add_cron_task(lambda system: 1 / 0, min='*', name='never called')
        return config.make_wsgi_app()
"""


def check_store(module, ini, capsys, url, **settings):
    """Check the store of an application with these settings, and return status and lines.

    :param module: the name of a module of :data:`APP`.
    :param ini: the path of the configuration file to write.
    """
    settings = {'cron.store': url, 'tm.manager_hook': 'pyramid_tm.explicit_manager', **settings}
    lines = '\n'.join(f'{key} = {value}' for key, value in settings.items() if value).replace('MODULE', module)
    ini.write_text(f'[app:main]\nuse = call:{module}:main\n{lines}\n')
    command = PCronCommand(['pcron', 'store', 'check', str(ini)])
    status = command.run()
    command.registry['engine'].dispose()
    command.registry['cron_store'].database.engine.dispose()
    out, err = capsys.readouterr()
    assert err == ''
    return status, re.sub(r'in \d+ ms', 'in 1 ms', re.sub(r'\d+\.\d s', '0.0 s', out)).splitlines()


def make_tables(url, *statements):
    engine = create_engine(url)
    upgrade(engine)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def known_processes(url):
    engine = create_engine(url)
    with engine.connect() as connection:
        found = list(connection.scalars(select(processes.c.id)))
    engine.dispose()
    return found
