"""Names of tasks that a person types."""

import pytest

from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.scripts.typed_names import KnownNames, find_name, is_part

SHOP = KnownNames(
    registered=['shop.expire', 'shop.expire_all', 'shop.mail.send', 'Bericht für Köln', '月次レポート'],
    former={'shop.send': 'shop.mail.send', 'mails': 'shop.mail.send'},
    unregistered=['old.mail', 'shop.gone'],
)


@pytest.mark.parametrize(
    ('word', 'name'),
    [
        # a whole name comes first, though it is a part of another one
        ('shop.expire', 'shop.expire'),
        ('shop.gone', 'shop.gone'),
        ('mails', 'shop.mail.send'),
        ('expire_', 'shop.expire_all'),
        ('send', 'shop.mail.send'),
        ('MAIL.S', 'shop.mail.send'),
        ('gone', 'shop.gone'),
        ('köln', 'Bericht für Köln'),
        ('レポ', '月次レポート'),
        # as a table has cut it
        ('shop...all', 'shop.expire_all'),
        ('shop…all', 'shop.expire_all'),
        ('...send', 'shop.mail.send'),
        ('...il.s...', 'shop.mail.send'),
        ('purge', None),
        ('shop...purge', None),
        ('mail...shop', None),
    ],
)
def test_a_word_stands_for_the_one_name_that_contains_it(word, name):
    assert find_name(word, SHOP) == name


@pytest.mark.parametrize(
    ('word', 'names'),
    [
        ('expire', '2 names, of which one has to be meant: shop.expire, shop.expire_all'),
        # that one of them is registered does not decide
        ('mail', '2 names, of which one has to be meant: old.mail (not registered here), shop.mail.send'),
    ],
)
def test_a_word_that_several_names_contain_is_refused(word, names):
    with pytest.raises(UsageError) as caught:
        find_name(word, SHOP)
    assert str(caught.value) == f'{word!r} is a part of {names}'


def test_a_message_has_ten_names():
    with pytest.raises(UsageError) as caught:
        find_name('task', KnownNames([f'task_{number:02}' for number in range(12)]))
    assert str(caught.value).endswith(' task_00, ' + ', '.join(f'task_{n:02}' for n in range(1, 10)) + ', and 2 more')


def test_a_script_that_changes_something_names_whole_words():
    known = KnownNames(['shop.expire_all', 'shop.mail'])
    assert find_name('mail', known, 'run') == 'shop.mail'
    assert find_name('expire_all', known, 'run') == 'shop.expire_all'
    assert find_name('shop...all', known, 'run') == 'shop.expire_all'
    # shop.expire was a task, and is none any more
    with pytest.raises(UsageError) as caught:
        find_name('shop.expire', known, 'run')
    assert str(caught.value) == (
        "'shop.expire' is only a part of a word of shop.expire_all: without a terminal, run takes whole names, and "
        'parts of whole words'
    )
    assert find_name('nothing', known, 'run') is None


@pytest.mark.parametrize(
    ('part', 'contained'),
    [('a...c', True), ('abc...c', False), ('ab...bc', False), ('a...b...c', True), ('a...b...b...c', False)],
)
def test_parts_do_not_overlap(part, contained):
    assert is_part(part, 'abc') is contained
