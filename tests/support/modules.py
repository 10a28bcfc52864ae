"""Modules of the tests that are commands, such as the harnesses."""

import subprocess
import sys


def run_module(root, module, *arguments):
    """Run a module as a command, print its output, and return its status.

    :param root: the folder of the project.
    """
    done = subprocess.run([sys.executable, '-m', module, *arguments], cwd=root, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    return done.returncode
