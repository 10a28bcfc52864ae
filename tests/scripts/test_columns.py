"""Columns of a terminal."""

import pytest

from pyramid_cron.scripts.columns import NameCutter, align, cut_end, shorten, width_of, wrap
from pyramid_cron.scripts.typed_names import KnownNames, find_name


@pytest.mark.parametrize(
    ('text', 'columns'),
    [
        ('abc', 3),
        ('Köln', 4),
        ('月次', 4),
        ('e\N{COMBINING ACUTE ACCENT}', 1),
        ('\N{FULLWIDTH LATIN SMALL LETTER A}', 2),
    ],
)
def test_wide_characters_take_two_columns(text, columns):
    assert width_of(text) == columns


def test_a_table_is_aligned_by_columns():
    assert align([['月次', 'abc'], ['1', '22']]) == ['月次  1', 'abc   22']
    assert align([]) == []


def test_a_text_is_wrapped_by_columns():
    assert wrap('- ', 'one two three', 10) == ['- one two', '  three']
    assert wrap('- ', '月次 レポート 2', 12) == ['- 月次', '  レポート 2']
    assert wrap('月 ', 'one two', 8) == ['月 one', '   two']
    # no word is broken
    assert wrap('- ', '月次レポート', 4) == ['- 月次レポート']
    assert wrap('- ', '\N{NO-BREAK SPACE}', 4) == []


def test_what_is_too_long_is_cut():
    assert shorten('abcdefghijkl', 9) == 'abc...jkl'
    assert shorten('abc', 3) == 'abc'
    assert shorten('月次レポート', 9) == '月...ト'
    assert cut_end('abcdef', 5) == 'ab...'
    assert cut_end('abcdef', 6) == 'abcdef'


PREFIX = 'shop.maintenance.of_something.'
LONG = [f'{PREFIX}{kind}.of_customers.every_night' for kind in ('export', 'import', 'report')]
HUNDREDS = [f'myapp.tasks.reports.daily.customer_number_{number}.export_all' for number in range(500)]
WIDE = [f'月次レポート・売上・{kind}・集計' for kind in ('東京都', '大阪府', '京都府', '北海道')]


@pytest.mark.parametrize('room', [8, 12, 20, 24, 40])
@pytest.mark.parametrize('names', [LONG, HUNDREDS[:60], WIDE, [*LONG, 'short', f'{PREFIX}export']])
def test_cut_names_stay_apart_and_can_be_typed(names, room):
    cutter = NameCutter(names)
    cut = [cutter.cut(name, room) for name in names]
    assert len(set(cut)) == len(names)
    for name, shown in zip(names, cut, strict=True):
        assert width_of(shown) <= room or shown == name
        assert find_name(shown, KnownNames(names)) == name


def test_the_middle_is_left_out_or_else_what_names_share():
    cutter = NameCutter([*LONG, 'shop.purge.everything.that_is_old'])
    assert cutter.cut('shop.purge.everything.that_is_old', 20) == 'shop.pur...at_is_old'
    assert cutter.cut('shop.purge', 20) == 'shop.purge'
    assert [cutter.cut(name, 20) for name in LONG] == [f'...{kind}ort.of_custo...' for kind in ('xp', 'mp', 'ep')]
    # nothing but the number of these differs
    assert NameCutter(HUNDREDS).cut(HUNDREDS[123], 24) == 'myapp.t...123.export_all'


def test_a_name_without_a_part_of_its_own_stays_whole():
    names = ['a' * 30, 'a' * 31]
    assert [NameCutter(names).cut(name, 20) for name in names] == names
