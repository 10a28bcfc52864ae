"""What docs/stopping.rst shows, beside the examples that are run by themselves."""

from types import SimpleNamespace

import pytest
from pyramid.config import Configurator
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from tests.test_docs import block, rows


@pytest.fixture
def session():
    engine = create_engine('sqlite://')
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def example():
    """The names of the example."""
    namespace = {'__name__': __name__}
    exec(block('stopping', 'from sqlalchemy import text'), namespace)
    return namespace


def test_the_task_goes_on_where_it_was_stopped(session, example):
    session.execute(text('CREATE TABLE orders (id INTEGER)'))
    session.execute(text('CREATE TABLE invoices (order_id INTEGER)'))
    session.execute(text('INSERT INTO orders VALUES (1), (2), (3)'))
    # the last one is not looked at: it is all that is left
    looks = iter([False, False, True, False])
    for written in (2, 3):
        example['write_invoices']({'request': SimpleNamespace(dbsession=session), 'stopping': lambda: next(looks)})
        assert session.scalar(text('SELECT count(*) FROM invoices')) == written
    assert [*looks] == []


def test_the_task_is_registered_with_retries(example):
    config = Configurator(settings={'cron.timezone': 'UTC'})
    example['includeme'](config)
    config.commit()
    assert [(task.name, task.retries) for task in config.registry['cron_tasks']] == [('shop.invoices', 1)]


def test_each_way_to_stop_a_run_is_in_the_table():
    ways = ' '.join(row[0] for row in rows('stopping', 'What stops a run'))
    assert all(
        word in ways for word in ('pcron stop', 'pcron work', 'Celery', 'procrastinate', 'perform', 'web server')
    )
