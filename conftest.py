"""Runs the examples in README.rst and docs/*.rst, so that none of them can be wrong for long.

- Python blocks are executed. The blocks of a document share one namespace and run from the top to the bottom. A block
  with a ``:caption:`` is the file of that name: it is written and imported.
- Interactive sessions (``>>>``) are compared with their output.
- Ini blocks are parsed. With a ``:caption:`` they are files too. Their application, or a bare one with their settings,
  is built, and their logging section is loaded.
- Text and JSON blocks are kept as ``shown``, for an invisible block to compare with what the code really prints.
"""

import configparser
import importlib
import json
import logging
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import hypothesis
import pytest
from pyramid.config import Configurator
from pyramid.paster import get_app
from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.rest import CodeBlockParser, DocTestParser

# what the examples without a file name belong to
MODULE = 'myapp'

LOAD_LOGGING = 'import logging.config, sys; logging.config.fileConfig(sys.argv[1])'

execute = PythonEvaluator()


def run_python(example):
    example.namespace['document'] = Path(example.path)
    file = written(example)
    if file is None:
        execute(example)
    else:
        example.namespace[file.stem] = importlib.import_module(file.stem)


def build_application(example):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(example.parsed)
    file = written(example)
    if 'app:main' in parser:
        section = parser['app:main']
        if file is not None and 'use' in section:
            example.namespace['app'] = get_app(str(file))
        else:
            here = example.namespace['folder']
            settings = {key: value.replace('%(here)s', here) for key, value in section.items() if key != 'use'}
            config = Configurator(settings=settings, package=sys.modules[MODULE])
            config.include('pyramid_cron')
            example.namespace['app'] = config.make_wsgi_app()
    if 'loggers' in parser:
        file = file or named(example, 'logging.ini')
        # in a process of its own, because logging is shared by everything in this one
        subprocess.run([sys.executable, '-c', LOAD_LOGGING, str(file)], check=True)


def keep_text(example):
    example.namespace['shown'] = str(example.parsed).strip()


def keep_json(example):
    example.namespace['shown'] = json.loads(example.parsed)


def log_text(records):
    """Return the text of a log of these records, in the format that the pages show."""
    # WebTest sets no port, as every server of the pages does
    records = [record for record in records if 'REMOTE_PORT' not in record.getMessage()]
    return '\n'.join(map(logging.Formatter('%(asctime)s %(levelname)s %(message)s', '%H:%M:%S').format, records))


def alike(text):
    """Return the lines of a text without what differs from run to run: numbers and the machine's offset."""
    return re.sub(r'\d+', '0', re.sub(r'[-+]\d\d:\d\d\b', '+0', text)).strip().splitlines()


def written(example):
    """Write an example that is a file, and return its path."""
    caption = example.region.lexemes['options'].get('caption')
    return named(example, caption) if caption else None


def named(example, name):
    file = Path(example.namespace['folder']) / name
    file.write_text(example.parsed, encoding='utf-8')
    importlib.invalidate_caches()
    return file


def begin_document(namespace):
    temporary = tempfile.TemporaryDirectory()
    sys.path.insert(0, temporary.name)
    # Pyramid looks for the module of the caller that makes a Configurator
    sys.modules[MODULE] = types.ModuleType(MODULE)
    namespace.update(__name__=MODULE, folder=temporary.name, temporary=temporary, modules=set(sys.modules))
    namespace.update(alike=alike, log_text=log_text)


def end_document(namespace):
    folder = namespace['folder']
    for name in set(sys.modules) - namespace['modules']:
        if str(getattr(sys.modules[name], '__file__', '')).startswith(folder):
            del sys.modules[name]
    del sys.modules[MODULE]
    sys.path.remove(folder)
    namespace['temporary'].cleanup()


def pytest_addoption(parser):
    parser.addoption(
        '--thorough',
        action='store_true',
        help='run the slow tests as well, compare with cronsim in all zones of the list, repeat all tests of the store '
        'on PostgreSQL, and draw more examples',
    )
    parser.addoption(
        '--mariadb',
        action='store_true',
        help='repeat the tests of the store that are repeated on PostgreSQL on MariaDB, too',
    )


def pytest_configure(config):
    if not config.getoption('thorough'):
        hypothesis.settings.register_profile('quick', max_examples=40)
        hypothesis.settings.load_profile('quick')


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Leave out the slow tests, and put the examples of a document back into the order in which they are read."""
    # one that is named by itself runs
    if not config.getoption('thorough') and not any('::' in argument for argument in config.args):
        slow = [item for item in items if item.get_closest_marker('slow')]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker('slow')]
    examples = [item for item in items if hasattr(item, 'example')]
    examples.sort(key=lambda item: (item.path, item.example.region.start))
    items[:] = [item for item in items if not hasattr(item, 'example')] + examples


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser('python', run_python),
        CodeBlockParser('ini', build_application),
        CodeBlockParser('text', keep_text),
        CodeBlockParser('json', keep_json),
        DocTestParser(),
    ],
    patterns=['README.rst', 'docs/*.rst'],
    setup=begin_document,
    teardown=end_document,
    fixtures=['caplog', 'capsys', 'monkeypatch'],
).pytest()
