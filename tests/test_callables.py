"""Callables: dotted names that resolve or not, and the functions that can be called with one argument."""

import functools
import importlib
import re
import sys
import types

import pytest

from pyramid_cron import callables
from tests.support.ids import shown

PACKAGE = 'shop_of_callables'


@pytest.fixture(scope='module')
def package(tmp_path_factory):
    """Return a package with modules of tasks, one of which cannot be imported for each of two reasons."""
    folder = tmp_path_factory.mktemp('callables')
    (folder / PACKAGE).mkdir()
    for name, text in (
        ('__init__', ''),
        ('tasks', 'def purge(system): ...\nlimit = 5\n'),
        ('broken', 'import no_such_dependency\n'),
        ('failing', 'def purge(system): ...\n1 / 0\n'),
    ):
        (folder / PACKAGE / f'{name}.py').write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module(PACKAGE)
    for name in [name for name in sys.modules if name.partition('.')[0] == PACKAGE]:
        del sys.modules[name]


@pytest.mark.parametrize('name', ['PACKAGE.tasks.purge', 'PACKAGE.tasks:purge', '.tasks.purge', '.tasks:purge'])
def test_a_dotted_name_resolves_to_its_object(package, name):
    function = callables.resolve(name.replace('PACKAGE', PACKAGE), package)
    assert function is sys.modules[f'{PACKAGE}.tasks'].purge


@pytest.mark.parametrize('value', [None, 5, print, object()], ids=shown)
def test_anything_but_a_text_stands_for_itself(value):
    assert callables.resolve(value) is value


@pytest.mark.parametrize(
    ('name', 'why'),
    [
        ('PACKAGE.tasks.purges', "PACKAGE.tasks has no 'purges'; is 'purge' meant?"),
        ('PACKAGE.tasks:purges', "PACKAGE.tasks has no 'purges'; is 'purge' meant?"),
        ('.tasks.purges', "PACKAGE.tasks has no 'purges'; is 'purge' meant?"),
        ('.tasks:purges', "PACKAGE.tasks has no 'purges'; is 'purge' meant?"),
        ('..PACKAGE.tasks.purges', 'it begins with more dots than the name of PACKAGE has parts'),
        # no function is like it, whatever else is
        ('.tasks.limits', "PACKAGE.tasks has no 'limits'"),
        ('.tsks.purge', "PACKAGE has no 'tsks'; is 'tasks' meant?"),
        ('PACKAGE.tsks.purge', "PACKAGE has no 'tsks'; is 'tasks' meant?"),
        ('.purge', "PACKAGE has no 'purge'"),
        ('tasks.purge', "there is no module 'tasks'; is '.tasks.purge' meant, relative to PACKAGE?"),
        ('no_such_package.purge', "ModuleNotFoundError: No module named 'no_such_package'"),
        ('', 'it is empty'),
        ('.broken.purge', "ModuleNotFoundError: No module named 'no_such_dependency'"),
        ('.failing.purge', 'ZeroDivisionError: division by zero'),
        ('.tasks.purge()', 'write the name without parentheses: it names a function, and does not call it'),
    ],
)
def test_a_name_that_does_not_resolve_has_a_suggestion(package, name, why):
    with pytest.raises(ValueError, match=f'^{re.escape(why.replace("PACKAGE", PACKAGE))}$'):
        callables.resolve(name.replace('PACKAGE', PACKAGE), package)


@pytest.mark.parametrize(
    ('name', 'why'),
    [
        ('.tasks.purge', 'a relative name cannot be resolved here, without a package; write the whole name'),
        ('no_such_package.purge', "ModuleNotFoundError: No module named 'no_such_package'"),
        ('pyramid_cron.tasks:nope', "pyramid_cron.tasks has no 'nope'"),
    ],
)
def test_a_name_without_a_package_is_refused_with_the_reason(name, why):
    with pytest.raises(ValueError, match=f'^{re.escape(why)}$'):
        callables.resolve(name)


def test_the_error_of_an_import_is_the_cause(package):
    with pytest.raises(ValueError, match='ZeroDivisionError: division by zero') as caught:
        callables.resolve('.failing.purge', package)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def purge(system): ...


async def coroutine(system): ...


def generator(system):
    yield


async def asynchronous_generator(system):
    yield


class CoroutineWhenCalled:
    async def __call__(self, system): ...


@pytest.mark.parametrize(
    'f',
    [coroutine, generator, asynchronous_generator, functools.partial(coroutine), CoroutineWhenCalled()],
    ids=shown,
)
def test_a_function_whose_call_runs_nothing_is_refused(f):
    with pytest.raises(ValueError, match='calling it runs nothing; register a plain function'):
        callables.check(f)


def no_argument(): ...


def two_arguments(system, other): ...


class Job:
    def __init__(self, system): ...

    def __call__(self): ...

    def run(self, system): ...


@pytest.mark.parametrize(
    'f',
    [
        no_argument,
        two_arguments,
        Job({}),
        Job({}).__call__,
        functools.partial(two_arguments),
        functools.partial(purge, {}),
        functools.wraps(purge)(lambda: None),
        globals,
        isinstance,
    ],
    ids=shown,
)
def test_a_function_without_one_argument_is_refused(f):
    with pytest.raises(ValueError, match=r'^does not take one argument, system: (?!.*pass the method)'):
        callables.check(f)


def test_the_argument_in_the_message_can_be_named():
    with pytest.raises(ValueError, match=r'^does not take one argument, handover: '):
        callables.check(no_argument, argument='handover')


def test_an_unbound_method_is_refused_with_a_hint():
    with pytest.raises(ValueError, match=r"^does not take one argument, .*'system'; pass the method of an instance"):
        callables.check(Job.run)


@pytest.mark.parametrize('f', [Job, functools.partial(Job), dict], ids=shown)
def test_a_class_is_refused_unless_its_instance_is_of_use(f):
    with pytest.raises(ValueError, match=r'is a class: .*; pass an instance that can be called, or a method of one'):
        callables.check(f)
    callables.check(f, class_too=True)


@pytest.mark.parametrize(
    ('f', 'why'),
    [
        (None, 'it looks like what a call returned; pass a function, without parentheses: purge and not purge()'),
        (5, 'it is of type int; pass a function'),
        ({}, 'it is of type dict'),
        (object(), 'it is of type object'),
    ],
    ids=shown,
)
def test_an_object_that_is_not_callable_is_refused(f, why):
    with pytest.raises(ValueError, match=rf'^is not callable: {re.escape(why)}'):
        callables.check(f)


class Supplying:
    """A proxy that has the attributes of its function, and would call it with one more argument."""

    __class__ = types.FunctionType

    def __init__(self, function):
        self.__wrapped__ = function

    def __getattr__(self, name):
        return getattr(self.__wrapped__, name)

    def __call__(self, system): ...


def test_a_proxy_is_not_judged_by_its_function():
    callables.check(Supplying(two_arguments))


def test_a_decorator_that_supplies_arguments_is_judged_by_its_own():
    @functools.wraps(two_arguments)
    def supplied(system):
        two_arguments(system, None)

    callables.check(supplied)


class Unhashable:
    __hash__ = None

    def __call__(self, system): ...


@pytest.mark.parametrize(
    'f',
    [
        Job({}).run,
        Unhashable(),
        functools.partial(two_arguments, {}),
        print,
        [].append,
        functools.lru_cache(purge),
        # a built-in function without a signature
        getattr,
    ],
    ids=shown,
)
def test_callables_of_every_kind_are_accepted(f):
    callables.check(f)


def nested():
    def inner(system): ...

    return inner


@pytest.mark.parametrize(
    ('f', 'path'),
    [
        (purge, 'purge'),
        (nested(), 'nested.<locals>.inner'),
        (Job, 'Job'),
        (Job({}), 'Job'),
        (Job({}).run, 'Job.run'),
        (functools.partial(functools.partial(purge), {}), 'purge'),
    ],
    ids=shown,
)
def test_a_dotted_path_is_module_and_name(f, path):
    assert callables.dotted_path(f) == f'{__name__}.{path}'


@pytest.mark.parametrize(
    ('f', 'path'), [([].append, 'builtins.list.append'), (str.upper, 'builtins.str.upper'), (print, 'builtins.print')]
)
def test_a_built_in_is_named_by_its_type(f, path):
    assert callables.dotted_path(f) == path
