"""Faults of processes, clocks, deploys and ticks, as context managers: some simulated minutes pass in the ``with``.

Each takes the :class:`.world.World` and a ``random.Random``, and yields a description.
"""

from contextlib import contextmanager

from .application import FAILURES, any_task

HOUR, DAY = 3600.0, 86400.0


@contextmanager
def killed(world, chance):
    """Between two ticks."""
    server = chance.randrange(2)
    world.servers[server].kill()
    yield f'server {server}'
    world.restart(server)


@contextmanager
def killed_in_tick(world, chance):
    server, statements = chance.randrange(2), _statements(chance)
    world.servers[server].order('after', statements=statements, then='kill')
    yield f'server {server} after {statements} statements'
    world.servers[server].kill()
    world.restart(server)


@contextmanager
def both_killed(world, chance):
    for server in world.servers:
        server.order('after', statements=_statements(chance), then='kill')
    yield
    for number, server in enumerate(world.servers):
        server.kill()
        world.restart(number)


@contextmanager
def frozen(world, chance):
    server = chance.randrange(2)
    world.servers[server].freeze()
    yield f'server {server}'
    world.servers[server].thaw()


@contextmanager
def frozen_in_tick(world, chance):
    with _after_statements(world, chance, 'freeze') as (server, text):
        yield text
    server.thaw()


@contextmanager
def disconnected_in_tick(world, chance):
    with _after_statements(world, chance, 'disconnect') as (_, text):
        yield text


@contextmanager
def _after_statements(world, chance, then):
    """Let something happen to a server after some of its statements."""
    number, statements = chance.randrange(2), _statements(chance)
    server = world.servers[number]
    server.order('after', statements=statements, then=then)
    yield server, f'server {number} after {statements} statements'
    server.order('after', statements=0, then=None)


def _statements(chance):
    # a tick with three tasks has some 60
    return chance.randrange(1, 60)


@contextmanager
def task_failing(world, chance):
    task, failure = any_task(chance), chance.choice(list(FAILURES))
    world.order_all('fail', task=task, failure=failure)
    yield f'{task}: {failure}'
    world.order_all('fail', task=task, failure=None)


@contextmanager
def task_removed(world, chance):
    """By a deploy to one of the servers, that is undone."""
    task, server = any_task(chance), chance.randrange(2)
    world.restart(server, without=[task])
    yield f'{task} of server {server}'
    world.restart(server)


@contextmanager
def task_paused(world, chance):
    task = any_task(chance)
    world.servers[0].order('pause', task=task)
    yield task
    world.servers[0].order('resume', task=task)


@contextmanager
def server_ahead(world, chance):
    server, ahead = chance.randrange(2), chance.choice([HOUR, DAY, 10 * 365 * DAY])
    world.ahead[server] = ahead
    yield f'server {server} by {ahead / HOUR:.0f} h'
    world.ahead[server] = 0.0


@contextmanager
def machine_ahead(world, chance):
    """The clock of SQLite is that of the machine."""
    ahead = chance.choice([90 * DAY, 10 * 365 * DAY])
    world.ahead, world.is_blind = [ahead, ahead], True
    yield f'by {ahead / DAY:.0f} days'
    world.ahead, world.is_blind = [0.0, 0.0], False


@contextmanager
def server_behind(world, chance):
    server, behind = chance.randrange(2), chance.choice([300.0, HOUR, DAY])
    world.ahead[server] = -behind
    yield f'server {server} by {behind / 60:.0f} min'
    world.ahead[server] = 0.0


@contextmanager
def no_ticks(world, chance):
    world.ticking = set()
    yield
    world.ticking = {0, 1}


@contextmanager
def one_ticks(world, chance):
    world.ticking = {chance.randrange(2)}
    yield f'server {[*world.ticking]}'
    world.ticking = {0, 1}
