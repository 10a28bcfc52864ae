"""The names of tasks: numbers for dotted paths, and what is refused with a store."""

import unicodedata

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from pyramid_cron.names import Names, hints_of_unknown, recognized

CONSONANT, VOWEL_SIGN = '\N{DEVANAGARI LETTER KA}', '\N{DEVANAGARI VOWEL SIGN U}'


def names_of(*taken, given=True, in_store=True):
    names = Names()
    for name in taken:
        names.add(name, given=given, in_store=in_store)
    return names


def test_dotted_paths_are_numbered_without_a_store():
    names = Names()
    taken = [names.add('shop.bill', given=False, in_store=False) for _ in range(3)]
    assert taken == ['shop.bill', 'shop.bill#2', 'shop.bill#3']


@pytest.mark.parametrize('given', [(True, False), (False, True), (True, True)])
def test_a_given_name_is_never_numbered(given):
    names = names_of('shop.bill', given=given[0], in_store=False)
    with pytest.raises(ValueError, match=r"the name 'shop\.bill' belongs to another"):
        names.add('shop.bill', given=given[1], in_store=False)


def test_a_number_is_refused_with_a_store():
    names = names_of('shop.bill', given=False)
    with pytest.raises(ValueError, match=r'with cron\.store none is named shop\.bill#2: if') as caught:
        names.add('shop.bill', given=False, in_store=True)
    assert "name='invoices of the first shop'" in str(caught.value)
    # one outside of the store counts
    assert names.add('shop.bill', given=False, in_store=False) == 'shop.bill#3'


def test_a_given_name_may_look_like_a_number():
    assert names_of('shop.bill').add('shop.bill#2', given=True, in_store=True) == 'shop.bill#2'


def test_a_name_has_at_most_200_characters_with_a_store():
    assert Names().add('ü' * 200, given=True, in_store=True) == 'ü' * 200
    assert Names().add('x' * 201, given=True, in_store=False) == 'x' * 201
    with pytest.raises(ValueError, match='the name has 201 characters, and'):
        Names().add('x' * 201, given=True, in_store=True)


@pytest.mark.parametrize(
    'other',
    [
        'Café Straße',
        'café straße ',
        ' café straße',
        'café  straße',
        'caféstraße',
        'cafe straße',
        'CAFÉ STRASSE',
        unicodedata.normalize('NFD', 'café straße'),
        # letters that only a font distinguishes
        '\N{FULLWIDTH LATIN SMALL LETTER C}afé straße',
    ],
)
def test_names_that_only_computers_distinguish_are_refused(other):
    names = names_of('café straße')
    with pytest.raises(ValueError, match=f"'{other}' differs from that of another task, 'café straße', only in case,"):
        names.add(other, given=True, in_store=True)
    # nothing in the store depends on it
    assert names_of('café straße').add(other, given=True, in_store=False) == other
    assert names_of('café straße', in_store=False).add(other, given=True, in_store=True) == other


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        ('bill 1', 'bill 2'),
        ('send_mail', 'send-mail'),
        # marks that make another letter
        ('\N{KATAKANA LETTER HA}', '\N{KATAKANA LETTER BA}'),
        (CONSONANT, CONSONANT + VOWEL_SIGN),
    ],
)
def test_names_that_people_distinguish_are_two(one, other):
    assert recognized(one) != recognized(other)
    assert names_of(one).add(other, given=True, in_store=True) == other


def test_a_name_that_was_given_back_is_free():
    names = names_of('good', 'other')
    names.remove('good')
    assert names.add('Good', given=True, in_store=True) == 'Good'


def send(system):
    """A task."""


def purge(system):
    """Another one."""


def nested():
    return lambda system: None


def start(register, **settings):
    config = Configurator(settings=settings)
    config.include('pyramid_cron')
    register(config)
    config.commit()
    return [task.name for task in config.registry['cron_tasks']]


def two_customers(config):
    for _ in range(2):
        config.add_cron_task(nested(), min='*')


def two_cases(config):
    config.add_cron_task(send, min='*', name='send')
    config.add_cron_task(purge, min='*', name='Send')


def a_long_name(config):
    config.add_cron_task(send, min='*', name='x' * 201)


@pytest.mark.parametrize(
    ('register', 'problem'),
    [
        (two_customers, f'cron task {__name__}.nested.<locals>.<lambda>: another task has this dotted path'),
        (two_cases, "cron task Send: the name 'Send' differs from that of another task, 'send'"),
        (a_long_name, f'cron task {"x" * 201}: the name has 201 characters'),
    ],
)
def test_a_store_refuses_such_names_at_the_start(tmp_path, register, problem):
    assert len(start(register)) > 0
    with pytest.raises(ConfigurationError) as caught:
        start(register, **{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    assert problem in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_tasks_registered_after_a_commit_are_checked(tmp_path):
    config = Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    config.include('pyramid_cron')
    config.add_cron_task(nested(), min='*')
    config.commit()
    config.add_cron_task(nested(), min='*')
    with pytest.raises(ConfigurationError, match='another task has this dotted path'):
        config.commit()


def test_tasks_outside_of_the_store_keep_their_numbers(tmp_path):
    def register(config):
        for store in (True, False):
            config.add_cron_task(nested(), min='*', store=store)

    path = f'{__name__}.nested.<locals>.<lambda>'
    assert start(register, **{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'}) == [path, f'{path}#2']


def test_an_override_keeps_its_name(tmp_path):
    def library(config):
        config.add_cron_task(send, min='*', name='send')

    def register(config):
        config.include(library)
        config.commit()
        config.add_cron_task(purge, min='*', name='send')

    assert start(register, **{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'}) == ['send']


def test_a_name_of_no_task_has_a_hint():
    former = {'shop.sync': ('shop.fetch',), 'shop.tidy': ()}
    assert hints_of_unknown(['shop.sync', 'shop.synk', 'shop.fetch', 'shop.*', 'backup'], former) == {
        'shop.synk': 'is shop.sync meant?',
        'shop.fetch': 'task shop.sync had this name before: write shop.sync',
        'shop.*': '* stands for all tasks, and for no part of a name',
        'backup': 'the tasks are: shop.sync, shop.tidy',
    }
