"""What tasks are named by and what can be called, as ``add_cron_task`` refuses and accepts it."""

import functools
import types

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from tests.support.ids import shown
from tests.support.refusals import refused


def purge(system): ...


class Unhashable:
    __hash__ = None

    def __call__(self, system): ...


@pytest.fixture
def config():
    config = Configurator()
    config.include('pyramid_cron')
    return config


def names(config):
    config.commit()
    return [task.name for task in config.registry['cron_tasks']]


@pytest.mark.parametrize('f', ['.tasks.nope', 'no_such_package.tasks.purge', '', 'purge', 'pyramid_cron.tasks:nope'])
def test_a_name_that_does_not_resolve_is_refused_by_name(config, f):
    with refused(repr(f), 'does not resolve'):
        config.add_cron_task(f)


@pytest.mark.parametrize('f', [None, 5, {}, object()], ids=shown)
def test_what_cannot_be_called_is_refused(config, f):
    with refused(repr(f), 'is not callable'):
        config.add_cron_task(f)


@pytest.fixture
def application(tmp_path, monkeypatch):
    """Return the configuration of a package with a module of tasks."""
    # modules stay imported, so that its name has to differ from those in other tests
    package = tmp_path / 'shop_of_callables'
    package.mkdir()
    (package / '__init__.py').write_text('def includeme(config):\n    config.add_cron_task(".tasks.purge")\n')
    (package / 'tasks.py').write_text('def purge(system): ...\nlimit = 5\n')
    (package / 'broken.py').write_text('import no_such_dependency\n')
    (package / 'failing.py').write_text('def purge(system): ...\n1 / 0\n')
    monkeypatch.syspath_prepend(tmp_path)
    config = Configurator()
    config.include('pyramid_cron')
    return config


def test_dotted_names_resolve_relative_to_the_calling_module(application):
    application.include('shop_of_callables')
    application.commit()
    [task] = application.registry['cron_tasks']
    assert task.name == 'shop_of_callables.tasks.purge'


def test_a_dotted_name_of_something_else_is_refused(application):
    with refused("'shop_of_callables.tasks.limit'", 'is not callable'):
        application.add_cron_task('shop_of_callables.tasks.limit')


@pytest.mark.parametrize(
    ('f', 'why'),
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
def test_a_name_that_does_not_resolve_is_refused_with_what_may_be_meant(application, f, why):
    config = application.with_package('shop_of_callables')
    f, why = (text.replace('PACKAGE', 'shop_of_callables') for text in (f, why))
    with pytest.raises(ConfigurationError) as caught:
        config.add_cron_task(f)
    assert str(caught.value) == f'cron task {f!r} does not resolve: {why}'


def test_the_traceback_of_a_module_that_cannot_be_imported_is_kept(application):
    with pytest.raises(ConfigurationError) as caught:
        application.add_cron_task('shop_of_callables.failing.purge')
    assert isinstance(caught.value.__cause__.__cause__, ZeroDivisionError)


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
def test_a_function_whose_call_runs_nothing_is_refused(config, f):
    with refused('runs nothing'):
        config.add_cron_task(f)


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
def test_a_function_that_does_not_take_one_argument_is_refused(config, f):
    with refused('does not take one argument, system: '):
        config.add_cron_task(f)


def test_a_method_that_is_not_bound_is_refused_with_a_hint(config):
    with refused('Job.run does not take one argument', "'system'", 'the method of an instance'):
        config.add_cron_task(Job.run)


@pytest.mark.parametrize('f', [Job, functools.partial(Job), dict, f'{__name__}.Job'], ids=shown)
def test_a_class_is_refused_with_a_hint(config, f):
    with refused('is a class: calling it makes an instance', 'give an instance that can be called, or a method of one'):
        config.add_cron_task(f)


def test_a_call_in_place_of_a_function_is_refused_with_a_hint(config):
    with refused('cron task None is not callable', 'what a call returned', 'purge and not purge()'):
        config.add_cron_task(purge({}))


class Supplying:
    """What stands for a function, looks like it, and calls it with an argument more."""

    __class__ = types.FunctionType

    def __init__(self, function):
        self.__wrapped__ = function

    def __getattr__(self, name):
        return getattr(self.__wrapped__, name)

    def __call__(self, system): ...


def test_what_stands_for_a_function_is_not_judged_by_it(config):
    config.add_cron_task(Supplying(two_arguments))
    assert names(config) == [f'{__name__}.two_arguments']


def test_a_decorator_that_supplies_arguments_is_judged_by_what_it_takes(config):
    @functools.wraps(two_arguments)
    def supplied(system):
        two_arguments(system, None)

    config.add_cron_task(supplied)
    assert names(config) == [f'{__name__}.two_arguments']


def test_callables_of_every_kind_are_accepted(config):
    cached = functools.lru_cache(lambda system: None)
    # that of getattr is not known
    for f in (Job({}).run, Unhashable(), functools.partial(two_arguments, {}), print, [].append, cached, getattr):
        config.add_cron_task(f)
    config.commit()
    assert len(config.registry['cron_tasks']) == 7
