"""Cursors that pass their statements on."""

from pyramid_cron.rehearsal.cursors import HeldCursor, held_class


class Plain:
    def execute(self, query, *values):
        return f'executed {query} with {values}'

    def executemany(self, query, values):
        return f'executed {query} with each of {values}'


class Connection:
    def run(self, cursor, text, execute):
        return f'{text}: {execute()}'


def test_a_statement_goes_through_the_connection_to_the_class_behind():
    cursor = held_class(Plain, HeldCursor)()
    cursor.connection = Connection()
    assert cursor.execute('SELECT', 1) == 'SELECT: executed SELECT with (1,)'
    assert cursor.executemany('INSERT', [1]) == 'INSERT: executed INSERT with each of [1]'
    assert cursor.behind('execute')('SELECT') == 'executed SELECT with ()'


def test_a_class_is_made_once_and_has_the_name_of_the_other():
    held = held_class(Plain, HeldCursor)
    assert held is held_class(Plain, HeldCursor)
    assert held is held_class(held, HeldCursor)
    assert (held.__name__, issubclass(held, Plain)) == ('HeldPlain', True)
