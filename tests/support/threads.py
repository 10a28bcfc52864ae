"""Calls from another thread at a moment that a test chooses."""

import contextlib
import threading

# the function itself, which a test may replace in its module
from socket import socketpair

#: seconds for which a thread that a lock keeps waiting is waited for
MOMENT = 0.1


def call_meanwhile(call):
    """Call something in another thread, wait until it has returned or, if a lock keeps it waiting, for a moment.

    The wait is for a socket: under faketime the time limit of a wait for a thread or a lock never passes.

    :return: the thread.
    """
    ours, theirs = socketpair()

    def run():
        with theirs:
            call()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    with ours, contextlib.suppress(TimeoutError):
        ours.settimeout(MOMENT)
        ours.recv(1)
    return thread


@contextlib.contextmanager
def without_threads():
    """Let no thread begin in the ``with``, as in a system that has none left."""
    # no system has that much memory for a thread
    before = threading.stack_size(2**46)
    try:
        yield
    finally:
        threading.stack_size(before)
