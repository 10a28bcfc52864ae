"""The setting ``cron.schedules``."""

import logging
from datetime import datetime, timedelta, timezone

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.paster import get_app
from webtest import TestApp

from pyramid_cron import Schedule, ScheduleWarning, Task
from pyramid_cron.names import MOST_SHOWN
from pyramid_cron.schedule_overrides import Override, ScheduleOverrides
from pyramid_cron.testing import due_between, tick

INSTANT = datetime(2026, 11, 23, 3, 30, tzinfo=timezone.utc)
OFF, HALF_PAST_THREE = Schedule.off(), Schedule.from_line('30 3 * * *')


def remind(system): ...


def invoices(system): ...


def configure(schedules, *names, **settings):
    """Return the configuration of an application with these tasks, each at 2:00."""
    config = Configurator(settings={'cron.schedules': schedules, 'cron.timezone': 'UTC', **settings})
    config.include('pyramid_cron')
    for name in names or ('shop.remind', 'shop.invoices'):
        config.add_cron_task(lambda system: None, cron='0 2 * * *', name=name)
    return config


def schedules(config):
    """Return the schedules of the tasks of an application."""
    config.make_wsgi_app()
    return [str(task.schedule) for task in config.registry['cron_tasks']]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('value', 'found'),
    [
        ('', ['0 2 * * *', '0 2 * * *']),
        ('  \n\n  # a comment\n ; another = off\n', ['0 2 * * *', '0 2 * * *']),
        ('shop.remind = off', ['off', '0 2 * * *']),
        ('\n  shop.remind=OFF\n\tshop.invoices  =\t30  3 * * *  ', ['off', '30 3 * * *']),
        ('shop.remind = @daily', ['0 0 * * *', '0 2 * * *']),
        ('* = off', ['off', 'off']),
        ('* = on', ['0 2 * * *', '0 2 * * *']),
        ('* = off\nshop.invoices = on', ['off', '0 2 * * *']),
        # the order of the lines does not matter
        ('shop.invoices = 30 3 * * *\n* = off', ['off', '30 3 * * *']),
        ('* = on\nshop.remind = off', ['off', '0 2 * * *']),
        ({'*': 'off', 'shop.invoices': '30 3 * * *'}, ['off', '30 3 * * *']),
        # as readers of YAML return on and off
        ({'*': False, 'shop.invoices': True}, ['off', '0 2 * * *']),
        ({'shop.remind': Schedule.from_fields(min=0, hour=4)}, ['0 4 * * *', '0 2 * * *']),
        ({}, ['0 2 * * *', '0 2 * * *']),
    ],
)
def test_lines_replace_the_schedules_of_the_code(value, found):
    assert schedules(configure(value)) == found


@pytest.mark.parametrize('name', ['the daily mail', 'a=b', 'a = b', '50% off', 'ünïcode', '#2', 'mail #2'])
def test_a_name_may_have_blanks_and_signs(name):
    assert schedules(configure({name: 'off'}, name)) == ['off']
    if not name.startswith('#'):
        assert schedules(configure(f'  {name} = off', name)) == ['off']


def test_an_ini_file_has_one_line_a_task(write_module, tmp_path):
    module = write_module(
        'from pyramid.config import Configurator\n'
        'def main(global_config, **settings):\n'
        '    with Configurator(settings=settings) as config:\n'
        "        config.include('pyramid_cron')\n"
        "        for name in '50% off', 'shop.remind', 'shop.invoices', 'last':\n"
        '            config.add_cron_task(lambda system: None, min=0, name=name)\n'
        '        return config.make_wsgi_app()\n'
    )
    path = tmp_path / 'app.ini'
    path.write_text(
        f'[app:main]\nuse = call:{module}:main\n'
        'cron.schedules =\n'
        '    # until the printer is back\n'
        '    shop.remind = off\n'
        '\n'
        '    50%% off = @daily\n'
        '# a comment at the beginning of a line\n'
        '    last = 30 3 * * 0\n'
        'cron.window = 30\n'
    )
    registry = get_app(str(path)).registry
    assert {task.name: str(task.schedule) for task in registry['cron_tasks']} == {
        '50% off': '0 0 * * *',
        'shop.remind': 'off',
        'shop.invoices': '0 * * * *',
        'last': '30 3 * * 0',
    }
    assert registry['cron_settings'].window == 30


def test_a_task_without_a_name_has_that_of_its_function():
    config = Configurator(settings={'cron.schedules': f'{__name__}.remind = off'})
    config.include('pyramid_cron')
    config.add_cron_task(remind, min=0)
    assert schedules(config) == ['off']


def test_the_time_zone_of_a_task_stays():
    config = configure('shop.remind = 30 3 * * *', **{'cron.timezone': 'Europe/Berlin'})
    config.add_cron_task(remind, min=0, timezone='America/New_York', name='far')
    config.make_wsgi_app()
    start = datetime(2026, 11, 23, tzinfo=timezone.utc)
    due = due_between(config.registry, start, start + timedelta(hours=4))
    assert [run.isoformat() for run, name in due if name == 'shop.remind'] == ['2026-11-23T03:30:00+01:00']


UNREADABLE = "the line 'shop.remind' cannot be read: write TASK = off, TASK = on, or TASK = 30 3 * * *"


@pytest.mark.slow
@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ('shop.remind', UNREADABLE),
        (' = off', "the line '= off' cannot be read: write TASK = off"),
        ('shop.remind =', "the line 'shop.remind =' cannot be read: '' is neither off, on nor a crontab line"),
        ('shop.remind = of', "the line 'shop.remind = of' cannot be read: 'of' is neither off, on nor a crontab line"),
        ('shop.remind = 30 3 * *', "the line 'shop.remind = 30 3 * *' cannot be read: cron='30 3 * *'"),
        ('shop.remind = 0 0 30 2 *', 'a date that does not exist: it would never run'),
        ('shop.remind = @reboot', "cron='@reboot'"),
        ('shop.remind = off # for now', 'write a comment on a line of its own'),
        ('shop.remind = off ; for now', 'write a comment on a line of its own'),
        ('* = 0 3 * * *', r'* = off and * = on are for all tasks; another schedule is for one task'),
        ({'*': HALF_PAST_THREE}, r'* = off and * = on are for all tasks'),
        ('a = off\na = on', "two lines are for 'a': 'a = off' and 'a = on'; leave one of them out"),
        ('* = off\n* = off', "two lines are for '*'"),
        ({'a': None}, "the line 'a = None' cannot be read: None is neither off, on nor a crontab line"),
        ({'a': 5}, '5 is neither off, on nor a crontab line'),
        ({5: 'off'}, "the name 5 in '5 = off' is no text"),
        (None, 'it has to be lines such as "shop.remind = off", or a dict'),
        (['a = off'], 'it has to be lines such as "shop.remind = off", or a dict'),
    ],
)
def test_a_value_that_cannot_be_read_stops_the_application(value, message):
    with pytest.raises(ConfigurationError) as caught:
        configure(value)
    assert str(caught.value).startswith('bad setting cron.schedules: ')
    assert message in str(caught.value)


MANY = [f'task {number}' for number in range(MOST_SHOWN + 2)]


@pytest.mark.parametrize(
    ('value', 'names', 'message'),
    [
        ('shop.remnd = off', (), "the line 'shop.remnd = off' names no cron task; is shop.remind meant?"),
        ('other.remind = off', (), 'is shop.remind meant?'),
        ({'x': 'off'}, (), "the line 'x = off' names no cron task; the tasks are: shop.remind, shop.invoices"),
        ('x = off', MANY, 'the tasks are: task 0, task 1, task 2, task 3, task 4, task 5, task 6, task 7, task 8, '),
        ('x = off', MANY, 'task 9 and 2 more'),
        ('shop.* = off', (), '* stands for all tasks, and for no part of a name'),
        # of the part before the last sign of equality
        ('shop.remind = off  # a=0 3 * * *', (), 'write a comment on a line of its own'),
        ('x = off\ny = off', (), "'x = off' names no cron task; the tasks are: shop.remind, shop.invoices; the line"),
    ],
)
def test_a_line_for_no_task_stops_the_application(value, names, message):
    config = configure(value, *names)
    config.commit()
    with pytest.raises(ConfigurationError) as caught:
        config.make_wsgi_app()
    assert str(caught.value).startswith('bad setting cron.schedules: the line ')
    assert message in str(caught.value)


def test_without_tasks_every_line_is_for_no_task():
    config = Configurator(settings={'cron.schedules': 'x = off'})
    config.include('pyramid_cron')
    with pytest.raises(ConfigurationError, match='names no cron task; the tasks are: none'):
        config.make_wsgi_app()


def test_a_former_name_is_answered_with_the_present_one():
    config = configure('bills = off')
    config.add_cron_task(remind, min=0, name='statements', was=['bills', 'old'])
    with pytest.raises(ConfigurationError, match='task statements had this name before: write statements'):
        config.make_wsgi_app()


def test_names_are_checked_when_the_configuration_is_complete():
    config = configure('later = off', 'now')
    config.commit()
    config.add_cron_task(remind, min=0, name='later')
    assert schedules(config) == ['0 2 * * *', 'off']


@pytest.mark.parametrize('name', ['later', 'latter'])
def test_an_application_that_commits_at_once_is_checked_too(name):
    config = Configurator(settings={'cron.schedules': f'{name} = off'}, autocommit=True)
    config.include('pyramid_cron')
    config.add_cron_task(remind, min=0, name='later')
    if name == 'later':
        assert schedules(config) == ['off']
    else:
        with pytest.raises(ConfigurationError, match=r'is later meant\?'):
            config.make_wsgi_app()


def test_a_second_include_checks_once_more():
    config = configure('shop.remind = off')
    config.commit()
    config.include('pyramid_cron')
    assert schedules(config) == ['off', '0 2 * * *']


def test_a_setting_that_is_added_after_the_include_counts():
    config = configure('')
    config.add_settings({'cron.schedules': 'shop.remind = off'})
    assert schedules(config) == ['off', '0 2 * * *']


def test_the_log_has_what_the_setting_changes(caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    schedules(configure('* = off\na = 30 3 * * *\nb = on', 'a', 'b', 'c', 'd'))
    assert [record.getMessage() for record in caplog.records] == [
        'cron.schedules: 2 of 4 tasks off, 1 with another schedule'
    ]
    caplog.clear()
    schedules(configure('a = on', 'a'))
    assert caplog.records == []


def test_advice_about_a_schedule_names_the_setting():
    with pytest.warns(ScheduleWarning) as caught:
        configure('shop.remind = 50-59/15 3 * * *').commit()
    assert [str(warning.message).partition(':')[0] for warning in caught] == [
        'cron task shop.remind, by cron.schedules'
    ]


def test_advice_about_the_schedule_in_the_code_is_not_given():
    config = Configurator(settings={'cron.schedules': '* = off'})
    config.include('pyramid_cron')
    config.add_cron_task(remind, hour=2)
    # warnings are errors
    assert schedules(config) == ['off']


def test_a_task_that_is_off_is_never_due_and_runs_by_name():
    config = configure('shop.remind = off')
    app = TestApp(config.make_wsgi_app())
    [task, _] = config.registry['cron_tasks']
    assert not task.check(INSTANT)
    assert not task.check(INSTANT.replace(tzinfo=None))
    assert list(task.runs(INSTANT)) == []
    assert tick(app, INSTANT.replace(hour=2, minute=0)).names('ok') == ['shop.invoices']
    assert tick(app, INSTANT, ['shop.remind']).names('ok') == ['shop.remind']


def test_a_task_keeps_the_schedule_of_the_code():
    config = configure('shop.remind = off\nshop.invoices = 30 3 * * *')
    config.add_cron_task(remind, min=0, name='plain')
    config.commit()
    assert [(task.schedule, task.schedule_in_code, task.schedule_by) for task in config.registry['cron_tasks']] == [
        (OFF, Schedule.from_line('0 2 * * *'), 'cron.schedules'),
        (HALF_PAST_THREE, Schedule.from_line('0 2 * * *'), 'cron.schedules'),
        (Schedule.from_fields(min=0), None, None),
    ]


def test_a_task_alone_has_the_schedule_of_the_code():
    task = Task(remind, min=0)
    assert (task.schedule_in_code, task.schedule_by) == (None, None)


def test_the_setting_can_be_introspected():
    config = configure('shop.remind = off\nshop.invoices = 30 3 * * *')
    config.commit()
    found = [item['introspectable'] for item in config.introspector.get_category('cron tasks')]
    assert [(item['schedule'], item['crontab'], item['schedule_by']) for item in found] == [
        (OFF, None, 'cron.schedules'),
        (HALF_PAST_THREE, '30 3 * * *', 'cron.schedules'),
    ]
    assert [str(item['schedule_in_code']) for item in found] == ['0 2 * * *'] * 2


def test_overrides_are_plain_values():
    assert ScheduleOverrides.parse('a = off') == ScheduleOverrides({'a': Override('a = off', OFF)})
    assert ScheduleOverrides.parse('* = off').schedule_of('a') == OFF
    assert ScheduleOverrides().schedule_of('a') is None
