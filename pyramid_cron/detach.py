"""Start a command in a session of its own, and exit at once: a script, which the server runs and waits for.

The command is no child of the server then, so that it leaves no zombie there, whatever else the server does with its
children. The script runs without site-packages, and prints the process id, or the number of the error.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress


def main(argv: Sequence[str]) -> str:
    """Start a command, and return the line for the server.

    :param argv: the niceness to add, the file descriptors that stay open, with commas, and the words of the command.
    """
    nice, kept, *command = argv
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            # the pipe to the server ends with this script
            stdout=2,
            pass_fds=[int(number) for number in kept.split(',') if number],
            start_new_session=True,
            # safe, because this process has one thread
            preexec_fn=functools.partial(os.nice, int(nice)),
        )
    except OSError as exc:
        return f'error {exc.errno or 0}'
    # it outlives this process, and is not to be warned of
    process.returncode = 0
    return f'pid {process.pid}'


if __name__ == '__main__':
    # the server may have been killed meanwhile, and print() would report that pipe at the exit
    with suppress(BrokenPipeError):
        os.write(1, main(sys.argv[1:]).encode())
