"""The readings of the page of a run. ``test_run_page.py`` has what becomes of them."""

from pyramid_cron.claims import Delivery
from pyramid_cron.status.run_queries import RunReading, read_run
from pyramid_cron.store.schema import tasks
from tests.support.filling import fill


def test_without_a_store_nothing_is_read(make_page, now):
    assert read_run(make_page().registry, Delivery('shop.task', now), '') == RunReading()


def test_a_store_without_tables_has_no_runs(make_page, store, now):
    assert read_run(make_page(settings=store).registry, Delivery('shop.task', now), '') == RunReading(has_store=True)


def test_a_store_that_is_down_is_an_error(make_page, store, tmp_path, now):
    (tmp_path / 'cron.sqlite').write_text('this is no database')
    found = read_run(make_page(settings=store).registry, Delivery('shop.task', now), '')
    assert found.has_store
    assert found.error.startswith('the store is not available')


def test_a_run_is_read_with_what_is_wrong_with_its_task(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    found = read_run(page.registry, Delivery('shop.task', now.replace(minute=0)), '')
    assert found.record.run.task == 'shop.task'
    assert list(found.examination.snapshot.states) == ['shop.task']
    assert read_run(page.registry, Delivery('shop.task', now.replace(year=2020)), '') == RunReading(has_store=True)


def test_a_run_is_found_under_each_name_of_its_task(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    with page.engine.begin() as connection:
        connection.execute(tasks.update().values(task='shop.new', renamed_from='shop.task'))
    for name in ('shop.task', 'shop.new'):
        found = read_run(page.registry, Delivery(name, now.replace(minute=0)), '')
        assert found.record.run.task == 'shop.task'
        assert list(found.examination.snapshot.states) == ['shop.task']
