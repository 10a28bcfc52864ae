"""Statements on the table of rehearsals, by a connection of any driver."""


def execute(connection, text):
    cursor = connection.cursor()
    cursor.execute(text)
    return cursor


def count(connection):
    return execute(connection, 'SELECT count(*) FROM items').fetchone()[0]


def insert(connection):
    execute(connection, "INSERT INTO items (what) VALUES ('x')")
