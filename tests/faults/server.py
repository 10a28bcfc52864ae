"""A server as a process of its own: ``python -m tests.faults.server OPTIONS``.

It reads orders from its standard input, one JSON object a line, and writes its answers to its standard output.
"""

import json
import logging
import os
import signal
import sys
import threading
from datetime import datetime

import psycopg
from pyramid.request import Request
from sqlalchemy import Engine, event

from .simulated import SimulatedTime


class Server:
    """Carries out orders.

    :param options: the options of :class:`.processes.Server`.
    :param simulated: the time.
    """

    def __init__(self, options, simulated):
        from .application import SECRET, make_app

        self._simulated = simulated
        self._minute_begins = threading.Condition()
        self._output = threading.Lock()
        self._of_thread = threading.local()
        self._secret, self._admin = SECRET, options['admin']
        # statements that are still to be executed until something happens
        self._left, self._then = 0, None
        for name in ('before_cursor_execute', 'after_cursor_execute', 'commit'):
            event.listen(Engine, name, self._count)
        self._app, self._registry, self._work = make_app(
            options['url'],
            options['effects'],
            self._wait,
            simulated,
            without=options['without'],
            seed=options['seed'],
        )

    def serve(self):
        """Carry out orders until the end of the input."""
        self._answer(ready=True)
        for line in sys.stdin:
            order = json.loads(line)
            getattr(self, order.pop('order'))(**order)

    def _answer(self, **values):
        with self._output:
            print(json.dumps(values), flush=True)

    def time(self, minute, ahead):
        with self._minute_begins:
            self._simulated.set(datetime.fromisoformat(minute), ahead)
            self._minute_begins.notify_all()

    def tick(self, minute):
        # the next ones come while a task is slow
        threading.Thread(target=self._tick, args=[minute], daemon=True).start()

    def _tick(self, minute):
        self._of_thread.tick = minute
        status, answer = self._get('/cron')
        self._answer(tick=minute, status=status, answer=answer)

    def health(self):
        status, answer = self._get('/cron/health')
        self._answer(health=answer, status=status)

    def _get(self, path):
        request = Request.blank(path, accept='application/json', headers={'Cron-Secret': self._secret})
        try:
            response = request.get_response(self._app)
        except Exception:
            # as any server does
            logging.exception('%s', path)
            return 500, 'Internal Server Error'
        return response.status_int, response.text

    def _wait(self, task, minute, length):
        """Wait for so much of the simulated time, in a task."""
        until = self._simulated.minute + length
        self._answer(busy=task, minute=minute.isoformat(), of=self._of_thread.tick)
        with self._minute_begins:
            self._minute_begins.wait_for(lambda: self._simulated.minute >= until)

    def fail(self, task, failure):
        """Let a task fail, or no more without a failure."""
        if failure is None:
            self._work.failing.pop(task)
        else:
            self._work.failing[task] = failure

    def pause(self, task):
        self._registry['cron_store'].pause([task], reason='the harness')

    def resume(self, task):
        self._registry['cron_store'].resume([task])

    def after(self, statements, then):
        """Do something to this process after so many steps of statements: ``kill``, ``freeze`` or ``disconnect``.

        :param then: ``None`` to do nothing any more.
        """
        self._left, self._then = statements, then and getattr(self, f'_{then}')

    def _count(self, *arguments):
        if self._then is None:
            return
        self._left -= 1
        if self._left <= 0:
            then, self._then = self._then, None
            then()

    def _kill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def _freeze(self):
        os.kill(os.getpid(), signal.SIGSTOP)

    def _disconnect(self):
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = 'app'")


def main():
    options = json.loads(sys.argv[1])
    logging.basicConfig(
        filename=options['log'], level=logging.WARNING, format='%(asctime)s %(process)d %(levelname)s %(message)s'
    )
    simulated = SimulatedTime(datetime.fromisoformat(options['begin']))
    simulated.install()
    if options['control']:
        from .controls import CONTROLS

        CONTROLS[options['control']]()
    Server(options, simulated).serve()


if __name__ == '__main__':
    main()
