"""A process that ticks whenever a line comes: its task fails at the first minute, and is well again after that."""

import sys

from pyramid_cron.events import ITaskRecovered
from tests.support.servers import INSTANT, Server


def fail_at_first(system):
    if system['scheduled_for'] == INSTANT:
        raise LookupError


def main():
    server, recovered = Server(sys.argv[1], {}).add(body=fail_at_first), []
    server.config.add_subscriber(recovered.append, ITaskRecovered)
    server.ready()
    print('ready', flush=True)
    for line in sys.stdin:
        server.tick(int(line))
        print('ticked', flush=True)
    for event in recovered:
        print(event.name, event.failed_since.isoformat())


if __name__ == '__main__':
    main()
