"""The names on the page of the API: each is there, and its docstring has the arguments and what it raises."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import pyramid_cron
from pyramid_cron import events
from tests.support.page_lengths import HIDDEN

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.rst', *sorted((ROOT / 'docs').glob('*.rst'))]

MODULE = re.compile(r'\.\. (?:auto|current)?module:: (\S+)')
NAME = re.compile(r'\.\. (?:auto(?:function|class|exception)|data):: (\w+)')
MEMBERS = re.compile(r' +:members:((?: [\w, ]+\n?)(?:  +[\w, ]+\n)*)')

# those whose docstrings name no exception, because they raise none for arguments of the types that they name
RAISE_NOTHING = {
    'pyramid_cron.RunReport.as_dict',
    'pyramid_cron.RunReport.failed',
    'pyramid_cron.RunReport.minute',
    'pyramid_cron.RunReport.names',
    'pyramid_cron.Schedule.crontab',
    'pyramid_cron.Schedule.is_off',
    'pyramid_cron.Schedule.matches',
    'pyramid_cron.Schedule.off',
    'pyramid_cron.Schedule.runs',
    'pyramid_cron.Task.check',
    'pyramid_cron.Task.runs',
    'pyramid_cron.Task.schedule_by',
    'pyramid_cron.Task.scheduled_for',
    'pyramid_cron.TaskReport.as_dict',
    'pyramid_cron.TaskReport.is_fault',
    'pyramid_cron.monitoring.watch.tween_factory',
    'pyramid_cron.store.include_name',
    'pyramid_cron.toolbar.includeme',
}
# the text of the pages of the API
API = '\n\n'.join(path.read_text(encoding='utf-8') for path in PAGES if path.stem.startswith('api'))
# classes that are called with arguments which can be wrong
CHECKED_ON_CREATION = {'pyramid_cron.Task', 'pyramid_cron.queues.celery.CeleryQueue'}
# attributes with a comment, which autodoc shows
ATTRIBUTES = set(pyramid_cron.Task.__annotations__)


def public_names():
    """Yield the dotted names on the pages, those of members included."""
    module, last = None, None
    for block in re.split(r'\n\n', API):
        for pattern in (MODULE, NAME, MEMBERS):
            for found in pattern.findall(block + '\n'):
                if pattern is MODULE:
                    module = found
                    if 'automodule' in block:
                        excluded = set(re.findall(r'\w+', block.partition(':exclude-members:')[2]))
                        yield from (f'{module}.{name}' for name in defined_in(module) if name not in excluded)
                elif pattern is NAME:
                    last = f'{module}.{found}'
                    yield last
                else:
                    yield from (f'{last}.{name}' for name in re.findall(r'\w+', found))


def defined_in(module):
    """Return the names of the functions and classes that a module defines and does not hide."""
    found = vars(importlib.import_module(module)).items()
    return [
        name
        for name, value in found
        if not name.startswith('_')
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module
    ]


def resolve(name):
    """Return what a dotted name is; of a property and of a class method, the function."""
    value = pkgutil.resolve_name(name)
    return value.fget if isinstance(value, property) else getattr(value, '__func__', value)


NAMES = sorted(set(public_names()))
FUNCTIONS = [name for name in NAMES if inspect.isfunction(resolve(name))]
CLASSES = [name for name in NAMES if inspect.isclass(resolve(name))]


def test_the_page_has_all_public_names():
    assert {f'pyramid_cron.{name}' for name in pyramid_cron.__all__} <= set(NAMES)
    for module in ('events', 'queues', 'status', 'store'):
        public = importlib.import_module(f'pyramid_cron.{module}')
        names = getattr(public, '__all__', None) or defined_in(public.__name__)
        missing = {f'{public.__name__}.{name}' for name in names} - set(NAMES)
        assert missing - {f'{public.__name__}.{name}' for name in ('has_subscribers', 'notify')} == set()


def test_the_page_has_what_examples_import():
    used = set()
    for path in PAGES:
        shown = HIDDEN.sub('', path.read_text(encoding='utf-8'))
        for module, names in re.findall(r'from (pyramid_cron[\w.]*) import ([\w, ]+)', shown):
            used.update(f'{module}.{name.strip()}' for name in names.split(','))
    # a subscriber names the interface of an event, whose own name lacks the I
    used = {re.sub(r'events\.I(?=[A-Z])', 'events.', name) for name in used}
    modules = set(MODULE.findall(API))
    assert used - set(NAMES) - modules == set()
    assert len(used) > 10


def test_the_page_has_what_sentences_name():
    modules = set(MODULE.findall(API))
    # a method of SQLAlchemy's, and the import that a migration needs
    others = {'pyramid_cron.store.metadata.drop_all', 'pyramid_cron.store.schema'}
    for path in PAGES:
        named = set(re.findall(r'\bpyramid_cron(?:\.[a-zA-Z_]+)+', HIDDEN.sub('', path.read_text(encoding='utf-8'))))
        assert named - set(NAMES) - modules - others == set(), path.name


@pytest.mark.parametrize('name', FUNCTIONS)
def test_a_function_names_what_it_raises(name):
    text = inspect.getdoc(resolve(name))
    assert text
    assert (':raises ' in text) is not (name in RAISE_NOTHING)


def test_nothing_else_is_listed_as_harmless():
    assert set(FUNCTIONS) >= RAISE_NOTHING
    assert set(CLASSES) >= CHECKED_ON_CREATION
    for name in CHECKED_ON_CREATION:
        assert ':raises ValueError:' in inspect.getdoc(resolve(name))


@pytest.mark.parametrize('name', FUNCTIONS)
def test_a_function_describes_its_arguments(name):
    text = inspect.getdoc(resolve(name))
    if 'The arguments are those of' in text:
        return
    for argument in set(inspect.signature(resolve(name)).parameters) - {'self', 'cls', 'config'}:
        assert f':param {argument}:' in text or f'``{argument}``' in text, argument


@pytest.mark.parametrize('name', CLASSES)
def test_a_class_describes_what_it_holds(name):
    kind = resolve(name)
    text = inspect.getdoc(kind)
    # and not that of a base, which object and Exception have as well
    assert kind.__doc__
    interface = getattr(events, f'I{kind.__name__}', None)
    if interface is not None:
        assert all(interface[field].getDoc().endswith('.') for field in kind.__dataclass_fields__)
        assert f'Its interface is ``{interface.__name__}``.' in text
        return
    if name in CHECKED_ON_CREATION:
        return
    for field in getattr(kind, '_fields', None) or getattr(kind, '__dataclass_fields__', ()):
        assert f':param {field}:' in text or f'``{field}``' in text, field


def test_the_attributes_of_a_task_have_a_comment():
    source = inspect.getsource(pyramid_cron.Task)
    for name in NAMES:
        member = name.removeprefix('pyramid_cron.Task.')
        if member in ATTRIBUTES:
            assert re.search(rf'^    #: .*\n    {member}: ', source, re.MULTILINE), member


def test_perform_has_two_arguments():
    # the rest is for pcron and for the workers of this package
    assert list(inspect.signature(pyramid_cron.perform).parameters) == ['app', 'key']
