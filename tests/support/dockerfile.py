"""A small reader of Dockerfiles, and what their instructions do where there is no engine."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

INSTRUCTION = re.compile(r'([A-Z]+) +(.+)')


class Image(NamedTuple):
    """What a container starts with: its folder, account and command."""

    folder: Path
    user: str
    command: list[str]


def read_dockerfile(text):
    """Return the instructions as pairs, of a file without continued lines."""
    lines = [line for line in text.splitlines() if line and not line.startswith('#')]
    return [INSTRUCTION.fullmatch(line).groups() for line in lines]


def build(context, root, environ):
    """Follow a Dockerfile, with the commands of its RUN in a shell of this machine.

    :param context: the folder of the Dockerfile.
    :param root: the folder that stands for ``/`` of the image.
    :param environ: the environment of the commands.
    """
    folder, user, command = root, 'root', None
    instructions = read_dockerfile((context / 'Dockerfile').read_text())
    assert [name for name, _ in instructions].index('FROM') == 0
    for name, rest in instructions:
        if name == 'WORKDIR':
            folder = root / rest.lstrip('/')
            folder.mkdir(parents=True)
        elif name == 'COPY':
            *sources, target = rest.split()
            assert target == './'
            for source in sources:
                shutil.copy(context / source, folder)
        elif name == 'RUN':
            subprocess.run(['/bin/sh', '-c', rest], cwd=folder, env=environ, check=True, stdin=subprocess.DEVNULL)
        elif name == 'USER':
            user = rest
        elif name == 'CMD':
            command = json.loads(rest)
        else:
            assert name in ('FROM', 'EXPOSE'), name
    return Image(folder, user, command)
