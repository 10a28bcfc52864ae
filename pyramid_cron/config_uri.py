"""The configuration file that this process was started with: from the arguments of pserve, gunicorn or pcron."""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pyramid_cron.settings import Settings


class Configuration(NamedTuple):
    """A configuration file.

    :param uri: the file, with the name of its section if that is not ``main``.
    :param variables: variables that it was loaded with, as in ``http_port=8080``.
    """

    uri: str
    variables: tuple[str, ...] = ()


# how to set it where it cannot be found
ADVICE = 'set cron.config_uri = %(__file__)s in the section of the application'


def configuration(
    settings: Settings, argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ
) -> Configuration | None:
    """Return the configuration file of the application: ``cron.config_uri``, or that which the server was started with.

    :param argv: the words that the process was started with, those of this one by default.
    :param environ: its environment.
    :return: ``None`` if neither is known.
    """
    if settings.config_uri is not None:
        return Configuration(settings.config_uri)
    words = list(sys.argv if argv is None else argv)
    if not words:
        return None
    path = Path(words[0])
    # python -m gunicorn
    find = FINDERS.get(path.parent.name if path.stem == '__main__' else path.stem)
    found = None
    if find is not None:
        # argparse ends the process if it does not know one of its words
        with suppress(ImportError, ValueError, SystemExit):
            found = find(words[1:], environ)
    return None if found is None else _absolute(found, environ)


def _of_pserve(words: list[str], environ: Mapping[str, str]) -> Configuration | None:
    parser = importlib.import_module('pyramid.scripts.pserve').PServeCommand.parser
    arguments, _ = parser.parse_known_args(words)
    uri = arguments.config_uri
    if uri is None:
        return None
    name = '' if '#' in uri or not arguments.app_name else f'#{arguments.app_name}'
    return Configuration(f'{uri}{name}', tuple(arguments.config_vars))


def _of_gunicorn(words: list[str], environ: Mapping[str, str]) -> Configuration | None:
    parser = importlib.import_module('gunicorn.config').Config().parser()
    arguments, _ = parser.parse_known_args([*shlex.split(environ.get('GUNICORN_CMD_ARGS', '')), *words])
    uri = arguments.paste
    return None if uri is None else Configuration(uri, tuple(arguments.raw_paste_global_conf or ()))


def _of_pcron(words: list[str], environ: Mapping[str, str]) -> Configuration:
    parser = importlib.import_module('pyramid_cron.scripts.arguments').make_parser()
    arguments, others = parser.parse_known_args(words)
    words = [*arguments.words, *others]
    # the key of a run may have an = as well
    given = words[1:] if arguments.command == 'perform' else words
    return Configuration(arguments.config_uri, tuple(word for word in given if '=' in word))


FINDERS = {'pserve': _of_pserve, 'gunicorn': _of_gunicorn, 'pcron': _of_pcron, 'pyramid_cron': _of_pcron}


def _absolute(found: Configuration, environ: Mapping[str, str]) -> Configuration | None:
    """Return a configuration with an absolute path, ``None`` if there is no such file."""
    name, hash_sign, section = found.uri.partition('#')
    if ':' in name:
        # with a scheme, such as egg:
        return found
    # a server may have changed its directory since it was started
    for folder in ('', environ.get('PWD', '')):
        path = Path(folder, name).absolute()
        if path.is_file():
            return found._replace(uri=f'{path}{hash_sign}{section}')
    return None
