import importlib
import linecache
import sys
import warnings
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError

from pyramid_cron import ScheduleWarning, Task, add_cron_task
from tests.support.ids import shown
from tests.support.refusals import refused


def purge(system): ...


def other(system): ...


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


def nested():
    def inner(system): ...

    return inner


def test_tasks_are_registered_when_the_configuration_is_committed(config):
    config.add_cron_task(purge, 0, 2, (1, 15), 6, '*', True)
    assert len(config.registry['cron_tasks']) == 0
    config.commit()
    [task] = config.registry['cron_tasks']
    assert isinstance(task, Task)
    assert (task.f, task.idle, task.name) == (purge, True, f'{__name__}.purge')
    assert (task.schedule.min, task.schedule.hour, task.schedule.month) == (1 << 0, 1 << 2, 1 << 6)


def test_with_autocommit_the_last_registration_counts():
    config = Configurator(autocommit=True)
    config.include('pyramid_cron')
    config.add_cron_task(purge, min=1)
    config.add_cron_task(purge, min=2)
    [task] = config.registry['cron_tasks']
    assert task.schedule.min == 1 << 2


@pytest.mark.parametrize(
    ('fields', 'parts'),
    [
        ({'min': 61}, ('min=61', '0 to 59')),
        ({'day': 30, 'month': 2}, ('day=30 with month=2',)),
        ({'idle': 'no'}, ("idle='no'",)),
    ],
    ids=shown,
)
def test_a_bad_field_is_refused_with_its_range(config, fields, parts):
    with refused(f'cron task {__name__}.purge', *parts):
        config.add_cron_task(purge, **fields)


def test_a_bad_name_is_refused(config):
    with refused("name='two"):
        config.add_cron_task(purge, name='two\nlines')


def test_new_arguments_are_keyword_only(config):
    with pytest.raises(TypeError):
        config.add_cron_task(purge, '*', '*', '*', '*', '*', False, 'name')


class Job:
    def __init__(self, system): ...

    def run(self, system): ...


@pytest.fixture
def application(tmp_path, monkeypatch):
    """Return the configuration of a package with a module of tasks."""
    # modules stay imported, so that its name has to differ from those in other tests
    package = tmp_path / 'shop_of_directives'
    package.mkdir()
    (package / '__init__.py').write_text('def includeme(config):\n    config.add_cron_task(".tasks.purge")\n')
    (package / 'tasks.py').write_text('def purge(system): ...\nlimit = 5\n')
    (package / 'failing.py').write_text('def purge(system): ...\n1 / 0\n')
    monkeypatch.syspath_prepend(tmp_path)
    config = Configurator()
    config.include('pyramid_cron')
    return config


def test_dotted_names_resolve_relative_to_the_calling_module(application):
    application.include('shop_of_directives')
    assert names(application) == ['shop_of_directives.tasks.purge']


@pytest.mark.parametrize(
    ('f', 'why'),
    [
        ('shop_of_directives.tasks.purges', "shop_of_directives.tasks has no 'purges'; is 'purge' meant?"),
        ('no_such_package.purge', "ModuleNotFoundError: No module named 'no_such_package'"),
        ('', 'it is empty'),
    ],
)
def test_an_unresolvable_name_is_refused_with_a_hint(application, f, why):
    with pytest.raises(ConfigurationError) as caught:
        application.add_cron_task(f)
    assert str(caught.value) == f'cron task {f!r} does not resolve: {why}'


def test_the_traceback_of_a_failed_import_is_kept(application):
    with pytest.raises(ConfigurationError) as caught:
        application.add_cron_task('shop_of_directives.failing.purge')
    assert isinstance(caught.value.__cause__.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ('f', 'parts'),
    [
        (None, ['cron task None is not callable', 'purge and not purge()']),
        ('shop_of_directives.tasks.limit', ["cron task 'shop_of_directives.tasks.limit' is not callable"]),
        (Job, [f'cron task {__name__}.Job is a class']),
        (Job.run, [f'cron task {__name__}.Job.run does not take one argument, system', 'the method of an instance']),
    ],
    ids=shown,
)
def test_what_cannot_be_a_task_is_refused_by_its_name(application, f, parts):
    with refused(*parts):
        application.add_cron_task(f)


def test_the_directive_takes_options_of_the_store(config):
    config.add_cron_task(purge, min=0, catch_up=60, retries=2, store=False, was=['old', 'older'], tolerate=3, expect=9)
    config.commit()
    [task] = config.registry['cron_tasks']
    assert (task.catch_up, task.retries, task.store) == (timedelta(minutes=1), 2, False)
    assert (task.was, task.tolerate, task.expect) == (('old', 'older'), 3, 9.0)
    with pytest.raises(ConfigurationError, match=r'cron task .*\.other: retries=-1: write how many further attempts'):
        config.add_cron_task(other, min=0, retries=-1)


@pytest.mark.parametrize(
    ('was', 'message'),
    [
        ('', r"cron task .*\.purge: was='' is neither the former name of the task, nor a list of its former names"),
        ('other', r"cron task .*\.purge: was='other' is the name of cron task other"),
        ([f'{__name__}.purge'], r"cron task .*\.purge: was='.*\.purge' is its present name; leave it out"),
        (('gone', 'shared'), r"cron task .*\.purge: was='shared' is a former name of cron task other"),
    ],
)
def test_a_former_name_belongs_to_one_task(config, was, message):
    config.add_cron_task(other, min=0, name='other', was='shared')

    def register():
        config.add_cron_task(purge, min=0, was=was)
        config.commit()

    with pytest.raises(ConfigurationError, match=message):
        register()


def test_the_same_function_twice_conflicts_citing_both_lines(config):
    config.add_cron_task(purge, min=0)
    config.add_cron_task(purge, min=30)
    with pytest.raises(ConfigurationConflictError) as caught:
        config.commit()
    text = str(caught.value)
    assert 'config.add_cron_task(purge, min=0)' in text
    assert 'config.add_cron_task(purge, min=30)' in text


def test_the_same_unhashable_callable_twice_conflicts(config):
    job = Unhashable()
    config.add_cron_task(job)
    config.add_cron_task(job)
    with pytest.raises(ConfigurationConflictError):
        config.commit()


def test_the_same_name_twice_conflicts(config):
    config.add_cron_task(purge, name='nightly')
    config.add_cron_task(other, name='nightly')
    with pytest.raises(ConfigurationConflictError):
        config.commit()


def test_a_name_allows_a_second_registration(config):
    config.add_cron_task(purge, min=0)
    config.add_cron_task(purge, min=30, name='purge again')
    assert names(config) == [f'{__name__}.purge', 'purge again']


@pytest.mark.parametrize('first', [purge, other])
def test_a_name_must_not_be_anothers_path(config, first):
    for f in (first, other if first is purge else purge):
        config.add_cron_task(f, name=f'{__name__}.purge' if f is other else None)
    with refused(f"cron task {__name__}.purge: the name '{__name__}.purge' belongs to another cron task"):
        config.commit()


@pytest.mark.parametrize(('f', 'shown'), [(purge, f'{__name__}.purge'), ('.tasks.purge', "'.tasks.purge'")])
def test_the_directive_without_the_include_is_refused(f, shown):
    with refused(f"cron task {shown}: call config.include('pyramid_cron') first"):
        add_cron_task(Configurator(), f)


def test_the_directive_before_the_include_is_refused():
    config = Configurator()
    with refused("call config.include('pyramid_cron') first"):
        add_cron_task(config, purge)
    config.include('pyramid_cron')
    add_cron_task(config, purge)
    assert names(config) == [f'{__name__}.purge']


def test_lambdas_and_nested_functions_do_not_conflict(config):
    config.add_cron_task(lambda system: None)
    config.add_cron_task(lambda system: None)
    config.add_cron_task(nested())
    config.add_cron_task(nested())
    assert len(set(names(config))) == 4


def test_an_application_overrides_an_include(config):
    def library(config):
        config.add_cron_task(purge, hour=2)
        config.add_cron_task(other, name='nightly', min=0, hour=3)

    config.include(library)
    config.add_cron_task(purge, min=0, hour=4)
    config.add_cron_task(nested(), name='nightly', min=0, hour=5)
    # the schedule that is overridden would have warned
    config.commit()
    assert [task.schedule.hour for task in config.registry['cron_tasks']] == [1 << 4, 1 << 5]


def test_two_includes_that_register_the_same_function_conflict(config):
    def first(config):
        config.add_cron_task(purge, min=0)

    def second(config):
        config.add_cron_task(purge, min=1)

    config.include(first)
    config.include(second)
    with pytest.raises(ConfigurationConflictError):
        config.commit()


def test_advice_warns_at_the_registering_line(config):
    config.add_cron_task(purge, hour=(0, 24, 3))
    with pytest.warns(ScheduleWarning) as caught:
        config.commit()
    assert [warning.filename for warning in caught] == [__file__, __file__]
    line = linecache.getline(__file__, caught[0].lineno)
    assert 'config.add_cron_task(purge, hour=(0, 24, 3))' in line
    impossible, left_out = (str(warning.message) for warning in caught)
    assert impossible.startswith(f'cron task {__name__}.purge: hour=(0, 24, 3) can never match 24')
    assert 'min=0' in left_out


def test_a_star_written_out_does_not_warn(config):
    config.add_cron_task(purge, min='*', hour=2)
    config.add_cron_task(other, min=0, hour='*', dow='mon')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        config.commit()


def test_a_task_can_be_introspected(config):
    config.add_cron_task(purge, min=0, hour=2, idle=True)
    config.add_cron_task(nested())
    config.add_cron_task(nested())
    config.commit()
    first, _, third = (item['introspectable'] for item in config.introspector.get_category('cron tasks'))
    assert first.title == f'{__name__}.purge'
    assert first.type_name == 'cron task'
    assert first['callable'] is purge
    assert first['name'] == f'{__name__}.purge'
    assert first['idle'] is True
    assert first['schedule'].hour == 1 << 2
    assert third['name'].endswith('inner#2')
    assert first.action_info.file == __file__


def test_a_task_takes_crontab_line_and_time_zone():
    config = Configurator(settings={'cron.timezone': 'Asia/Tokyo'})
    config.include('pyramid_cron')
    config.add_cron_task(purge, cron='*/15 9-17 * * mon-fri', timezone='Europe/Berlin')
    config.add_cron_task(other, cron='@daily')
    config.commit()
    first, second = config.registry['cron_tasks']
    assert (str(first.schedule), first.timezone) == ('*/15 9-17 * * mon-fri', ZoneInfo('Europe/Berlin'))
    assert (str(second.schedule), second.timezone) == ('0 0 * * *', ZoneInfo('Asia/Tokyo'))
    intr = config.introspector.get_category('cron tasks')[1]['introspectable']
    assert intr['timezone'] == 'Asia/Tokyo'


def test_without_a_setting_schedules_follow_local_time(config):
    config.add_cron_task(purge)
    config.commit()
    [task] = config.registry['cron_tasks']
    assert task.timezone is None


@pytest.mark.parametrize(
    ('arguments', 'parts'),
    [
        ({'cron': '0 0 30 2 *'}, ("cron='0 0 30 2 *'", 'does not exist')),
        ({'cron': '0 2 * * sat-sun'}, ("cron='0 2 * * sat-sun'", 'dow', 'sat,sun or 6-7')),
        ({'cron': '0 2 * * *', 'min': 0}, ("cron='0 2 * * *'", 'leave min')),
        ({'cron': '0 2 * * *', 'dow': '*'}, ('leave min',)),
        ({'cron': None}, ('cron=None', 'unset setting or environment variable')),
        ({'hour': None}, ('hour=None', 'unset setting or environment variable')),
        ({'hour': '22-2'}, ("hour='22-2'", '22-23,0-2')),
        ({'timezone': 'Europe/Berln'}, ("'Europe/Berln'", 'Europe/Berlin')),
        ({'timezone': 5}, ('5 is neither',)),
    ],
    ids=shown,
)
def test_a_bad_schedule_is_refused_with_a_hint(config, arguments, parts):
    with refused(f'cron task {__name__}.purge', *parts):
        config.add_cron_task(purge, **arguments)


@pytest.fixture
def scan(tmp_path, monkeypatch):
    """Return a function that scans the text of a module and returns the configuration."""
    monkeypatch.syspath_prepend(tmp_path)
    loaded = []

    def scan(text, include=True):
        name = f'scanned_{tmp_path.name}_{len(loaded)}'.replace('-', '_')
        (tmp_path / f'{name}.py').write_text('from pyramid_cron import cron_task\n' + text)
        module = importlib.import_module(name)
        loaded.append(module)
        config = Configurator()
        if include:
            config.include('pyramid_cron')
        config.scan(module)
        return config, module

    yield scan
    for module in loaded:
        del sys.modules[module.__name__]


def test_decorated_functions_are_found_by_a_scan(scan):
    config, module = scan('@cron_task(min=0, hour=2, idle=True)\ndef purge(system):\n    return system\n')
    config.commit()
    [task] = config.registry['cron_tasks']
    assert (task.f, task.idle, str(task.schedule)) == (module.purge, True, '0 2 * * *')
    assert task.name == f'{module.__name__}.purge'
    assert module.purge('called as before') == 'called as before'


def test_the_decorator_takes_options_of_the_store(scan):
    options = "catch_up=60, retries=2, store=False, timezone='Asia/Tokyo', name='nightly', via=print, was='old'"
    options += ', tolerate=3, expect=9'
    config, _ = scan(f'@cron_task(min=0, {options})\ndef purge(system): ...\n')
    config.commit()
    [task] = config.registry['cron_tasks']
    assert (task.catch_up, task.retries, task.store) == (timedelta(minutes=1), 2, False)
    assert (task.timezone, task.name, task.via, task.was) == (ZoneInfo('Asia/Tokyo'), 'nightly', print, ('old',))
    assert (task.tolerate, task.expect) == (3, 9.0)


def test_a_decorators_engine_is_relative_to_its_module(scan):
    text = 'def send(handover): ...\n@cron_task(via=".send")\ndef purge(system): ...\n'
    config, module = scan(text)
    config.commit()
    [task] = config.registry['cron_tasks']
    assert task.via is module.send


def test_stacked_decorators_register_several_tasks(scan):
    config, module = scan(
        "@cron_task(cron='0 6 * * *', timezone='Asia/Tokyo', name='early')\n"
        "@cron_task(cron='0 22 * * *', name='late')\n"
        'def report(system): ...\n'
    )
    config.commit()
    tasks = {task.name: task for task in config.registry['cron_tasks']}
    assert set(tasks) == {'early', 'late'}
    assert all(task.f is module.report for task in tasks.values())
    assert tasks['early'].timezone == ZoneInfo('Asia/Tokyo')


def test_a_conflict_cites_the_line_of_the_decorator(scan):
    config, module = scan('@cron_task(min=0)\n@cron_task(min=30)\ndef purge(system): ...\n')
    with pytest.raises(ConfigurationConflictError) as caught:
        config.commit()
    assert str(caught.value).count(module.__file__) == 2
    assert '@cron_task(min=0)' in str(caught.value)
    assert '@cron_task(min=30)' in str(caught.value)


def test_a_decorator_warns_at_its_line(scan):
    config, module = scan('\n\n@cron_task(hour=2)\ndef purge(system): ...\n')
    with pytest.warns(ScheduleWarning, match='min is left out') as caught:
        config.commit()
    assert caught[0].filename == module.__file__
    assert caught[0].lineno == 4


@pytest.mark.parametrize(
    ('field', 'line'),
    [
        ('min', '1,3 * * * *'),
        ('hour', '* 1,3 * * *'),
        ('day', '* * 1,3 * *'),
        ('month', '* * * 1,3 *'),
        # as weekday() counts them
        ('dow', '* * * * tue,thu'),
    ],
)
def test_an_iterator_serves_every_application_that_scans_it(scan, field, line):
    fields = ', '.join(f'{name}="*"' for name in ('min', 'hour') if name != field)
    config, module = scan(f'@cron_task({field}=iter([1, 3]), {fields})\ndef purge(system): ...\n')
    again = Configurator()
    again.include('pyramid_cron')
    again.scan(module)
    for configuration in (config, again):
        configuration.commit()
        [task] = configuration.registry['cron_tasks']
        assert str(task.schedule) == line


def test_a_decorator_reads_no_endless_iterator(scan):
    # fails once more values are read than are needed for the refusal
    endless = '(number if number <= 1000 else 1 / 0 for number in itertools.count())'
    with refused('holds more than 1000 values'):
        scan(f'import itertools\n@cron_task(min={endless})\ndef purge(system): ...\n')


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('@cron_task()\nclass Job: ...\n', 'is for functions of a module'),
        ('class Job:\n    @cron_task()\n    def run(self, system): ...\n', 'is for functions of a module'),
        ('@cron_task\ndef purge(system): ...\n', r'write @cron_task\(\) above .*\.purge'),
    ],
)
def test_a_decorator_in_the_wrong_place_is_refused(scan, text, why):
    with pytest.raises(TypeError, match=why):
        scan(text)


def test_a_decorator_takes_no_line_that_is_none(scan):
    with refused('purge', 'cron=None is the value of an unset setting or environment variable'):
        scan('import os\n@cron_task(cron=os.environ.get("NO_SUCH_VARIABLE"))\ndef purge(system): ...\n')


def test_a_bad_decorator_is_refused_by_the_scan(scan):
    with refused('purge', "cron='0 0 30 2 *'"):
        scan("@cron_task(cron='0 0 30 2 *')\ndef purge(system): ...\n")


@pytest.mark.parametrize('autocommit', [False, True])
def test_a_scan_before_the_include_is_refused(scan, autocommit):
    _, module = scan('\n@cron_task()\ndef purge(system): ...\n')
    early = Configurator(autocommit=autocommit)
    shown = f'cron task {module.__name__}.purge in {module.__file__}, line 3: '
    with refused(f"{shown}call config.include('pyramid_cron') first"):
        early.scan(module)
    early.include('pyramid_cron')
    early.scan(module)
    assert names(early) == [f'{module.__name__}.purge']


def test_a_scan_without_the_include_is_refused(scan):
    with refused("call config.include('pyramid_cron') first"):
        scan('@cron_task()\ndef purge(system): ...\n', include=False)


@pytest.mark.parametrize(('store', 'warned'), [(True, True), (False, False)])
def test_attempts_that_never_begin_are_warned_of(tmp_path, store, warned):
    config = Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/cron.sqlite', 'cron.app': 'app'})
    config.include('pyramid_cron')
    config.add_cron_task(purge, min='*/5', name='purge', retries=(60, 600), store=store)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter('always')
        config.commit()
    assert [str(warning.message)[:60] for warning in found] == [
        'cron task purge: retries=(60, 600): attempt 3 never begins, '
    ] * warned
    assert all(warning.filename == __file__ for warning in found)


def test_a_task_that_never_catches_up_is_warned_of(tmp_path):
    config = Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/cron.sqlite', 'cron.app': 'app'})
    config.include('pyramid_cron')
    config.add_cron_task(purge, min='*', name='purge', missed='each', retries=(600,))
    with pytest.warns(ScheduleWarning) as found:
        config.commit()
    assert [str(warning.message)[:51] for warning in found] == ["cron task purge: missed='each': it is due each minu"]
    with pytest.raises(ConfigurationError, match=r"cron task .*other: missed='all': write missed='newest'"):
        config.add_cron_task(other, min=0, missed='all')
