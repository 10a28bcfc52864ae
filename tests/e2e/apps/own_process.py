"""An application whose tasks run in processes of their own, and end once a file is there.

Settings: ``tasks`` has lines of names, each with its ``via``, or ``-`` for none; ``seconds`` is how long a task takes
at least; ``child`` starts a process that is none of ours.
"""

import os
import subprocess
import time
from pathlib import Path

import zope.sqlalchemy
from pyramid.config import Configurator
from sqlalchemy import String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = 'effects'

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(50))


def main(global_config, **settings):
    folder = Path(global_config['here'])
    make_session = sessionmaker(create_engine(f'sqlite:///{folder}/effects.sqlite'))

    def dbsession(request):
        session = make_session()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def make(name):
        def task(system):
            began = time.monotonic()
            system['request'].dbsession.add(Effect(task=name))
            # for the test, which may kill this process then
            (folder / 'next').write_text(f'{os.getpid()} {os.nice(0)}')
            (folder / 'next').rename(folder / f'{name}.pid')
            while not (folder / 'end').exists() or time.monotonic() - began < float(settings['seconds']):
                time.sleep(0.05)

        return task

    settings |= {'tm.manager_hook': 'pyramid_tm.explicit_manager'}
    with Configurator(settings=settings) as config:
        config.include('pyramid_tm')
        config.include('pyramid_cron')
        config.add_request_method(dbsession, reify=True)
        for line in settings['tasks'].split('\n'):
            name, via = line.split()
            config.add_cron_task(make(name), name=name, min='*', via=False if via == '-' else via)
    Base.metadata.create_all(make_session.kw['bind'])
    if settings.get('child'):
        # of the server itself, and none of ours
        subprocess.Popen(['sleep', '600'])
    return config.make_wsgi_app()
