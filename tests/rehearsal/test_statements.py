"""SQL texts of rehearsals."""

import pytest

from pyramid_cron.rehearsal.statements import (
    hides_control,
    is_begin,
    is_commit,
    is_rollback,
    keyword,
    rest,
    target,
)


@pytest.mark.parametrize(
    ('text', 'word'),
    [
        ('select 1', 'SELECT'),
        (' ;\n -- a comment\n/* another\none */ (SELECT 1)', 'SELECT'),
        ('-- nothing', ''),
        ('', ''),
        ('COMMIT;', 'COMMIT'),
    ],
)
def test_the_first_keyword(text, word):
    assert keyword(text) == word
    assert keyword(rest(text)) == word


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ('INSERT INTO items (a) VALUES (1)', ('insert', 'items')),
        ('insert or replace into items values (1)', ('insert', 'items')),
        ('INSERT IGNORE INTO `a b`.`c` VALUES (1)', ('insert', 'a b.c')),
        ('REPLACE INTO items VALUES (1)', ('insert', 'items')),
        ('COPY items FROM STDIN', ('insert', 'items')),
        ('MERGE INTO items USING x', ('insert', 'items')),
        ('UPDATE ONLY "shop" . "Items" SET a = 1', ('update', 'shop.Items')),
        ('UPDATE OR IGNORE items SET a = 1', ('update', 'items')),
        ('/* why */ DELETE FROM ONLY [items]', ('delete', 'items')),
        ("WITH a AS (SELECT 'INSERT INTO x') DELETE FROM items", ('delete', 'items')),
        ('CREATE UNIQUE INDEX IF NOT EXISTS i ON items (a)', ('create', 'i')),
        ('DROP TABLE IF EXISTS items', ('drop', 'items')),
        ('TRUNCATE items', ('truncate', 'items')),
        ('ALTER TABLE items ADD COLUMN a', ('alter', 'items')),
        ('SELECT * FROM items FOR UPDATE', None),
        ('SET a = 1', None),
        ('VACUUM', None),
    ],
)
def test_what_a_statement_writes(text, found):
    assert target(text) == found


def test_the_ends_of_transactions():
    assert [is_commit(text) for text in ('commit', '/**/ END;', 'ROLLBACK', 'COMMITTED')] == [True, True, False, False]
    assert [is_begin(text) for text in ('begin immediate', 'START TRANSACTION', 'COMMIT')] == [True, True, False]
    rollbacks = (
        'ROLLBACK',
        'abort;',
        'ROLLBACK TO a',
        'rollback work to savepoint a',
        'ROLLBACK TRANSACTION',
        'COMMIT',
    )
    assert [is_rollback(text) for text in rollbacks] == [True, True, False, False, True, False]


@pytest.mark.parametrize(
    ('text', 'hides'),
    [
        ('COMMIT;', False),
        ("INSERT INTO a VALUES ('x; COMMIT')", False),
        ('SELECT 1; SELECT 2', False),
        ('SELECT 1; commit', True),
        ('SELECT 1; prepare transaction', True),
        ("SELECT E'\\''; COMMIT; --'", True),
        ("INSERT INTO a VALUES ('\\; COMMIT')", True),
        ('DO $$ BEGIN; END $$; SELECT 1', False),
        ('SELECT "COMMIT"; SELECT `END`', False),
    ],
)
def test_several_statements_may_hide_a_commit(text, hides):
    assert hides_control(text) == hides
