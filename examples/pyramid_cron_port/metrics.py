"""Metrics: datagrams for statsd, in the dialect of Datadog, which has tags."""

import socket


class Metrics:
    """Sends metrics to an address, and waits for nothing."""

    def __init__(self, address):
        host, _, port = address.rpartition(':')
        self._address = host, int(port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def gauge(self, name, value, **tags):
        self._send(name, f'{value}|g', tags)

    def increment(self, name, **tags):
        self._send(name, '1|c', tags)

    def timing(self, name, seconds, **tags):
        self._send(name, f'{seconds * 1000:.0f}|ms', tags)

    def _send(self, name, value, tags):
        suffix = '|#' + ','.join(f'{key}:{tag}' for key, tag in tags.items()) if tags else ''
        self._socket.sendto(f'port.{name}:{value}{suffix}'.encode(), self._address)


def includeme(config):
    config.registry['metrics'] = Metrics(config.registry.settings['metrics.address'])
    config.add_request_method(lambda request: request.registry['metrics'], 'metrics', property=True)
