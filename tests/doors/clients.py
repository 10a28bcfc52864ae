"""Clients of the matrix: curl under several accounts, with headers that a stranger may forge."""

import sys
from typing import NamedTuple

from .accounts import OWN, ROOT, STRANGER, run_as
from .application import SECRET

LOW_PORT = ('--local-port', '600-1023')
CURL = ['curl', '-q', '-sS', '-k', '--noproxy', '*', '--max-time', '15', '-o', '/dev/null']


class Client(NamedTuple):
    """A request.

    :param closes: whether a server must refuse it whatever it knows about the account. A header of a proxy is no reason
        for that, since waitress removes it.
    :param again: whether it is the second request on its connection.
    """

    name: str
    account: str
    options: tuple[str, ...] = ()
    closes: bool = False
    again: bool = False

    @property
    def low_port(self):
        return self.options[:2] == LOW_PORT

    @property
    def sends_secret(self):
        return any(SECRET in option for option in self.options)

    @property
    def trusted(self):
        """Whether the promise of the defaults names this client as one that may trigger."""
        return self.account == OWN or (self.account == ROOT and self.low_port)


def forged(name, *headers, **options):
    return Client(name, STRANGER, tuple(part for header in headers for part in ('-H', header)), **options)


ORDINARY = [
    Client('own', OWN),
    Client('root low', ROOT, LOW_PORT),
    Client('root', ROOT),
    Client('stranger', STRANGER),
    forged('localhost', 'Host: localhost'),
    forged('127.0.0.1', 'Host: 127.0.0.1'),
    forged('example', 'Host: example.com', closes=True),
    # a name that ends in a port of another service, which some servers take for their own
    forged('host:22', 'Host: localhost:22'),
    forged('forged', 'Host: localhost', 'X-Forwarded-For: 127.0.0.1'),
    Client('no host', STRANGER, ('--http1.0', '-H', 'Host:')),
    Client('again', STRANGER, ('-H', 'Host: localhost'), again=True),
    Client('HEAD', STRANGER, ('-I', '-H', 'Host: localhost'), closes=True),
    Client('POST', STRANGER, ('-d', '', '-H', 'Host: localhost')),
]
WITH_SECRET = [
    forged('bearer', f'Authorization: Bearer {SECRET}'),
    forged('header', f'Cron-Secret: {SECRET}'),
    forged('forged+', f'Cron-Secret: {SECRET}', 'X-Forwarded-For: 192.0.2.1', 'Host: example.com'),
]
# what only the look-up of the account may treat differently
BY_DEFAULT = ('root low', 'localhost', '127.0.0.1', 'host:22', 'again')
OTHERWISE = [client for client in ORDINARY if client.name not in BY_DEFAULT]
CLIENTS = {'default': ORDINARY, 'secret': OTHERWISE + WITH_SECRET, 'unchecked': OTHERWISE}


def request(client, url, path):
    """Return the status of the answer to a client's request, 0 if there is none."""
    urls = [url + '/alive', url + path] if client.again else [url + path]
    for _ in range(2):
        outputs = [part for _ in urls[1:] for part in ('-o', '/dev/null')]
        done = run_as(client.account, [*CURL, *outputs, '-w', '%{http_code} ', *client.options, *urls])
        status = int((done.stdout.split() or ['0'])[-1])
        # a proxy may have no connection left for a moment
        if status and status < 500:
            break
    else:
        if not client.closes:
            print(f'{client.name}, {url}{path}: {status} {done.stderr.strip()}', file=sys.stderr)
    return status


def request_alive(account, url):
    """Request ``/alive``, and return the client's port as the server sets it, and its real one.

    Without an answer return ``None``.
    """
    command = [*CURL[:-2], '-w', ' %{local_port}', url + '/alive']
    for _ in range(3):
        words = run_as(account, command).stdout.split()
        if words[:1] == ['alive']:
            return (words[1] if len(words) == 3 else ''), words[-1]
    return None
