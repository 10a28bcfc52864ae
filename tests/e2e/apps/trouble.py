"""An application whose tasks misbehave: the setting ``trouble.tasks`` has their names."""

import os
import time
from pathlib import Path

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.settings import asbool, aslist

from pyramid_cron.memory_claims import MemoryClaims


class AnyMinute(MemoryClaims):
    """Claims by which tasks run again in the same minute, for tests that cannot wait for the next."""

    def claim(self, task, minute):
        return super().claim(task, None)


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        if asbool(settings.get('trouble.any_minute')):
            config.registry['cron_claims'] = AnyMinute()
        config.add_route('stall', '/stall')
        config.add_view(stall, route_name='stall')
        for name in aslist(settings['trouble.tasks']):
            expect = float(settings['trouble.expect']) if 'trouble.expect' in settings else None
            config.add_cron_task(f'trouble.{name}', min='*', expect=expect)
        return config.make_wsgi_app()


def file(system, name):
    folder = Path(system['registry'].settings['demo.journal']).parent
    folder.mkdir(exist_ok=True)
    return folder / name


def works(system):
    with file(system, 'journal.txt').open('a') as journal:
        journal.write('works\n')


def fails(system):
    raise RuntimeError('a detail that is not for everybody')


def waits(system):
    deadline = time.monotonic() + 30
    file(system, 'waiting').touch()
    while not file(system, 'go').exists():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def stall(request):
    waits({'registry': request.registry})
    return Response('at last')


def exits(system):
    raise SystemExit(1)


def forks(system):
    child = os.fork()
    if child:
        os.waitpid(child, 0)


def exits_once(system):
    if not file(system, 'exited').exists():
        file(system, 'exited').touch()
        raise SystemExit(1)
