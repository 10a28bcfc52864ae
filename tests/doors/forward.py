"""A forwarder, which passes each connection on as it is: ``forward.py FROM_PORT TO_PORT``."""

import contextlib
import socket
import sys
import threading


def main():
    source, target = map(int, sys.argv[1:])
    with socket.create_server(('127.0.0.1', source), backlog=100) as server:
        while True:
            client, _ = server.accept()
            try:
                backend = socket.create_connection(('127.0.0.1', target))
            except OSError:
                client.close()
                continue
            for ends in ((client, backend), (backend, client)):
                threading.Thread(target=copy, args=ends, daemon=True).start()


def copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


main()
