"""The clock of a database of SQLite, which a test sets."""

from sqlalchemy import event

# the day of 1970-01-01 00:00 as SQLite counts days
EPOCH = 2440587.5


def set_clock(engine, now):
    """Let the database's clock stand at what a function returns, in every connection that is opened from now on."""

    def replace(connection, record):
        connection.create_function('julianday', 1, lambda text: now().timestamp() / 86400 + EPOCH)

    event.listen(engine, 'connect', replace)
    # a connection that is in the pool has the other clock
    engine.dispose()
