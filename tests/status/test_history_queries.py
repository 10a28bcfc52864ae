"""The readings of the pages of the history. ``test_history_page.py`` has what becomes of them."""

import pytest

from pyramid_cron.status.history_queries import HistoryReading, find_names, read_history
from pyramid_cron.store.schema import runs, tasks
from tests.support.filling import fill, record
from tests.support.status import add_tasks


def test_without_a_store_nothing_is_read(make_page):
    assert read_history(make_page().registry, '') == HistoryReading()


def test_a_store_without_tables_has_no_history(make_page, store):
    found = read_history(make_page(settings=store).registry, 'shop')
    assert found == HistoryReading(has_store=True, names=['shop.task'])


def test_a_store_that_is_down_is_an_error(make_page, store, tmp_path):
    (tmp_path / 'cron.sqlite').write_text('this is no database')
    found = read_history(make_page(settings=store).registry, '')
    assert found.error.startswith('the store is not available')


def test_names_are_those_of_the_code_and_the_store(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 1, now, most=1)
    record(page.registry, ('shop.older', now, {}))
    assert read_history(page.registry, 'shop.').names == ['shop.daily', 'shop.never', 'shop.often']
    found = read_history(page.registry, 'shop.older')
    assert [entry.task for entry in found.page.entries] == ['shop.older']


@pytest.mark.parametrize(
    ('text', 'names'),
    [
        ('', []),
        ('mail', ['mail']),
        ('MAIL', ['mail', 'mail.late']),
        ('late', ['mail.late']),
        ('gone', ['gone']),
    ],
)
def test_a_part_of_a_name_means_all_that_have_it(text, names):
    assert find_names(text, ['mail.late', 'mail', 'invoices', 'mail']) == names


def test_the_history_of_a_renamed_task_is_that_of_both_names(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=2)
    with page.engine.begin() as connection:
        connection.execute(tasks.update().values(task='shop.new', renamed_from='shop.task'))
        connection.execute(runs.update().where(runs.c.scheduled_for == now.replace(minute=0)).values(task='shop.new'))
    found = read_history(page.registry, 'shop.task')
    assert found.names == ['shop.task']
    assert [entry.task for entry in found.page.entries] == ['shop.new', 'shop.task']
