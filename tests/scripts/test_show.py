"""``pcron show``: the last minute at which a task was due, and tasks that are in the store alone."""

import pytest

from pyramid_cron.scripts.command import Command
from pyramid_cron.scripts.show import ShowCommand
from tests.support.night import Night, at
from tests.support.pcron import PURGE

HOURLY = "purge, min=0, name='shop.purge'"


@pytest.fixture
def night(tmp_path):
    night = Night(f'sqlite:///{tmp_path}/cron.sqlite')
    yield night
    night.close()


@pytest.fixture
def show(pcron, ini, night):
    """Return a function that returns the lines below a label in what the command prints, by these labels."""

    def show(*words, task=HOURLY):
        status, out, err = pcron('show', ini(task, settings=night.settings), *words)
        assert (status, err) == (0, '')
        found, label = {}, ''
        for line in out.splitlines():
            label = line[:13].strip() or label
            found[label] = f'{found.get(label, "")} {line[13:].strip()}'.strip()
        return found

    return show


def test_show_is_a_command():
    assert issubclass(ShowCommand, Command)


def test_the_last_due_minute_is_shown_with_what_became_of_it(night, show):
    night.tick()
    night.task('shop.purge')
    night.run('shop.purge', at('23 23:00:02'), at('23 23:00:05'))
    assert show('shop.purge')['last due'] == 'Thu 2026-12-24 00:00: ok in 3.0 s, process 4711 on web1'


@pytest.mark.slow
def test_what_else_is_known_now_belongs_to_that_minute(night, show):
    night.tick()
    failed = {'last_outcome': 'failed', 'last_outcome_for': at('23 23:00'), 'last_finished': at('23 23:00:05')}
    night.task('shop.purge', last_success_at=at('22 23:00:05'), **failed)
    night.run('shop.purge', at('23 23:00:02'), at('23 23:00:05'), 'failed', error='LookupError')
    result = 'Thu 2026-12-24 00:00: failed in 3.0 s, process 4711 on web1: LookupError'
    shown = show('shop.purge')
    assert shown['last due'] == f'{result}; last ok yesterday 00:00'
    assert 'state' not in shown
    # another minute has what became of it, and nothing of the present
    assert show('shop.purge', '--at', '2026-12-24 00:00')['last due'] == result


def test_a_run_by_hand_has_a_line_of_its_own(night, show):
    night.tick()
    night.task('shop.purge')
    night.run('shop.purge', at('23 23:00:02'), at('23 23:00:05'))
    night.change('shop.purge', last_outcome='failed', last_outcome_for=None, last_finished=at('23 23:03:05'))
    shown = show('shop.purge')
    assert shown['last due'] == 'Thu 2026-12-24 00:00: ok in 3.0 s, process 4711 on web1'
    assert shown['state'].startswith('failed 00:03, by hand')


@pytest.mark.slow
@pytest.mark.parametrize(('when', 'due'), [('22:30', 'Wed 2026-12-23 22:00'), ('23:00', 'Wed 2026-12-23 23:00')])
def test_that_before_another_minute_is_shown(night, show, when, due):
    night.tick()
    night.task('shop.purge')
    without = {'attempt': 0, 'trigger': 'none', 'reason': 'no tick came in time', 'host': None}
    for hour in (21, 22):
        night.run('shop.purge', at(f'23 {hour}:00'), outcome='missed', **without)
    assert show('shop.purge', '--at', f'2026-12-23 {when}')['last due'] == f'{due}: missed: no tick came in time'


def test_a_minute_that_is_owed_is_explained(night, show):
    night.tick(at('23 22:59'))
    night.task('shop.purge', last_minute=at('23 22:00'), last_outcome='ok')
    assert show('shop.purge')['last due'] == (
        'Thu 2026-12-24 00:00: did not run: no tick has come for it (no tick for 8 min); the next tick records it '
        'as missed'
    )


def test_a_pause_has_its_beginning(night, show):
    night.tick()
    night.task('shop.purge')
    night.pause('shop.purge', at('23 21:10'))
    night.run('shop.purge', at('23 23:00:02'), outcome='paused', attempt=0, reason='paused by ada: the disk is full')
    shown = show('shop.purge')
    assert shown['paused'] == 'by ada since Wed 2026-12-23 22:10 until it is resumed: the disk is full'
    assert shown['last due'] == 'Thu 2026-12-24 00:00: paused by ada: the disk is full'


def test_a_task_that_is_off_has_no_last_due_minute(night, show):
    night.settings += '\ncron.schedules = shop.purge = off'
    night.tick()
    night.task('shop.purge')
    shown = show('shop.purge')
    assert 'last due' not in shown
    assert shown['next runs'] == 'off, by cron.schedules'


def test_one_that_is_never_due_has_none_either(night, show):
    night.tick()
    night.task('shop.purge')
    never = "purge, min=0, hour=0, day=29, month=2, dow='mon', name='shop.purge'"
    assert 'last due' not in show('shop.purge', '--at', '2025-02-01', task=never)


def test_without_a_store_nothing_is_recorded(pcron, ini):
    out = pcron('show', ini(PURGE), 'purge')[1]
    assert 'last due' not in out
    assert out.endswith('  last runs  not recorded: set cron.store\n')


def test_a_store_that_is_away_leaves_out_what_it_has(pcron, ini, tmp_path):
    (tmp_path / 'cron.sqlite').write_text('no database, but long enough for a header of one' * 100)
    path = ini(HOURLY, settings=f'cron.store = sqlite:///{tmp_path}/cron.sqlite')
    status, out, err = pcron('show', path, 'shop.purge')
    assert (status, len(err.splitlines())) == (0, 1)
    assert err.startswith('pcron: without last runs and pauses: the store is not available: ')
    assert 'last runs' not in out


def test_a_task_that_is_in_the_store_alone_is_shown(pcron, ini, night):
    night.tick()
    schedule = {'schedule': '1 4 fffffffe 1ffe 7f 00 Europe/Berlin', 'last_seen': at('20 10:00')}
    night.task('old.mail', **schedule, last_outcome='failed', last_error='OSError', last_finished=at('20 01:00:03'))
    night.run('old.mail', at('20 01:00:01'), at('20 01:00:03'), 'failed', error='OSError')
    night.pause('old.mail', at('20 21:10'))
    status, out, err = pcron('show', ini(HOURLY, settings=night.settings), 'mail')
    assert (status, err) == (0, "pcron: 'mail' is taken for old.mail\n")
    assert out == (
        'old.mail\n'
        '\n'
        '  registered not here: the last tick of a process that has it was at Sun\n'
        '             2026-12-20 11:00\n'
        '  schedule   0 2 * * * (Europe/Berlin), as it was\n'
        '  paused     by ada since Sun 2026-12-20 22:10 until it is resumed: the disk is\n'
        '             full\n'
        '  problems   unregistered, since Sun 2026-12-20 11:00\n'
        '  last runs  Sun 2026-12-20 02:00, failed in 2.0 s: OSError\n'
    )


def test_its_schedule_and_its_last_tick_may_be_unknown(pcron, ini, night):
    night.task('old.mail', last_seen=None, schedule='1')
    out = pcron('show', ini(HOURLY, settings=night.settings), 'old.mail')[1]
    assert out == (
        'old.mail\n\n  registered not here\n  schedule   cannot be read here, as it was\n  last runs  none yet\n'
    )


def test_a_task_that_is_in_the_store_alone_is_not_listed(pcron, ini, night):
    night.task('old.mail')
    path = ini(HOURLY, settings=night.settings)
    for words in (['list', path, 'old.mail'], ['run', path, 'old.mail'], ['pause', path, 'old.mail', '--reason', 'x']):
        assert pcron(*words) == (
            2,
            '',
            "pcron: old.mail is not registered here, and only in the store: 'pcron show' has what is known of it\n",
        )


def test_one_task_is_shown(pcron, ini):
    assert pcron('show', ini(PURGE))[2] == "pcron: name one task; 'pcron list' shows their names\n"
