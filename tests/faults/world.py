"""Two servers, their database, and the simulated minutes that pass."""

from contextlib import suppress

import psycopg

from pyramid_cron.schedules.clock import MINUTE

from .processes import Server


class World:
    """Two servers over a database.

    :param begin: the minute before the first one.
    :param folder: a folder for files.
    :param control: the name of a control, ``None`` for none.
    """

    def __init__(self, database, folder, begin, seed, control):
        self.database = database
        self.minute = begin
        self.effects = folder / 'effects'
        self.effects.touch()
        self._options = {
            'url': database.url,
            'admin': database.admin,
            'effects': str(self.effects),
            'log': str(folder / 'log'),
            'begin': begin.isoformat(),
            'control': control,
        }
        self._seed = seed
        #: the servers that are triggered, and by how many seconds the clocks are ahead
        self.ticking = {0, 1}
        self.ahead = [0.0, 0.0]
        self.database_ahead = 0.0
        #: how many servers were started again, which remember nothing
        self.restarts = 0
        #: whether the only clock there is is wrong
        self.is_blind = False
        self.servers = [self._server(), self._server()]

    def _server(self, without=()):
        self._seed += 1
        return Server({**self._options, 'without': list(without), 'seed': self._seed})

    def restart(self, number, without=()):
        """Start a server again; the old process ends if it has not."""
        self.servers[number].kill()
        self.servers[number] = self._server(without)
        self.restarts += 1

    def order_all(self, name, **values):
        for server in self.servers:
            server.order(name, **values)

    def pass_minute(self):
        """Let a minute come, and the ticks of it end, but for those with a slow task."""
        self.minute += MINUTE
        self._set_time(self.minute)
        minute = self.minute.isoformat()
        ticked = [server for number, server in enumerate(self.servers) if number in self.ticking and server.answers]
        for server in ticked:
            server.tick(minute)
        return [server.wait_for_tick(minute) for server in ticked]

    def _set_time(self, instant):
        # it may be away
        with suppress(psycopg.OperationalError):
            self.database.set_time(instant, self.database_ahead)
        for server, ahead in zip(self.servers, self.ahead, strict=True):
            server.order('time', minute=instant.isoformat(), ahead=ahead)

    def healths(self):
        """Return what the servers report that can report something."""
        found = [server.health() for server in self.servers if server.answers]
        return [health for health in found if health is not None]

    def in_progress(self):
        """Return the tasks, and their minutes, that a server is about to end."""
        return set().union(*(server.in_progress for server in self.servers))

    def end(self):
        for server in self.servers:
            server.kill()
