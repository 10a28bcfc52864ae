"""Names of tasks as services take them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_cron.slugs import check_distinct, check_slug, slug_of


@pytest.mark.parametrize(
    ('name', 'slug'),
    [
        ('nightly-backup', 'nightly-backup'),
        ('shop.tasks.sync_stock', 'shop-tasks-sync_stock'),
        ('Send the mails!', 'send-the-mails'),
        ('shop.bill#2', 'shop-bill-2'),
    ],
)
def test_a_slug_is_the_name_as_far_as_it_can_be(name, slug):
    assert slug_of(name, 50) == slug


@pytest.mark.parametrize(
    ('name', 'slug'),
    [
        ('shop.' + 50 * 'x', 'shop-' + 36 * 'x' + '-ff617bea'),
        ('Käse', 'kase-'),
        ('鍵', 'task-'),
        ('...', 'task-'),
        ('2026', '2026-'),
    ],
)
def test_what_a_slug_cannot_hold_makes_digits_of_the_whole_name(name, slug):
    found = slug_of(name, 50)
    assert found.startswith(slug[:40])
    assert found != slug_of(f'{name}.', 50)


@pytest.mark.slow
@given(st.text(min_size=1, max_size=300), st.sampled_from([50, 100]))
def test_each_name_has_a_slug(name, longest):
    assert check_slug(slug_of(name, longest), longest)


@pytest.mark.parametrize('slug', ['', 'A', 'a b', '-a', 'a/b', 'ä', '5', 51 * 'a'])
def test_other_texts_are_no_slugs(slug):
    with pytest.raises(ValueError, match='it has to have 1 to 50 of the characters a-z, 0-9, - and _, not digits'):
        check_slug(slug, 50)


def test_a_slug_belongs_to_one_task():
    check_distinct([('a', 'a'), ('b', 'b')])
    with pytest.raises(ValueError, match=r'the tasks a\.b and a-b have the same slug; add a line for one'):
        check_distinct((name, slug_of(name, 50)) for name in ('a.b', 'a-b'))
