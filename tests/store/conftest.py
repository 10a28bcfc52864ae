"""Fixtures of enqueued runs, and of ``pcron store check``."""

import functools

import pytest

from tests.support.enqueueing import LONG, Queue
from tests.support.store_check import APP, check_store, make_tables


@pytest.fixture
def queue():
    return Queue()


@pytest.fixture
def web(servers, queue):
    """A server whose task is enqueued."""
    return servers.start(catch_up=LONG).add(via=queue)


@pytest.fixture
def worker(servers, queue):
    """The application in a process of another machine, as far as the store knows."""
    worker = servers.start(catch_up=LONG).add(via=queue)
    worker.ready()
    return worker


@pytest.fixture
def check(write_module, tmp_path, monkeypatch, capsys):
    """Return a function that checks the store of an application, see :func:`.store_check.check_store`."""
    monkeypatch.setenv('COLUMNS', '500')
    return functools.partial(check_store, write_module(APP), tmp_path / 'shop.ini', capsys)


@pytest.fixture
def made_url(tmp_path):
    """The URL of an SQLite database with the tables."""
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    make_tables(url)
    return url
