"""Which SQL texts change data: by statement, behind comments, in WITH, and what only looks like it."""

import pytest

from pyramid_cron.store.sql_changes import change_in


@pytest.mark.parametrize(
    ('statement', 'change'),
    [
        ('INSERT INTO t VALUES (1)', 'INSERT'),
        ('insert or replace into t values (1)', 'INSERT'),
        ('update t set a = 1', 'UPDATE'),
        ('UPDATE"t" SET a = 1', 'UPDATE'),
        ('DELETE FROM t', 'DELETE'),
        ('DELETE `t` FROM `t` JOIN u USING (id)', 'DELETE'),
        ('MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE', 'MERGE'),
        ('REPLACE INTO t VALUES (1)', 'REPLACE'),
        ("LOAD DATA INFILE '/t' INTO TABLE t", 'LOAD'),
        ('  \n\tDELETE FROM t', 'DELETE'),
        ('-- the old ones\nDELETE FROM t', 'DELETE'),
        ('/* SELECT\n-- */ /* x */DELETE/**/FROM t', 'DELETE'),
        ('SELECT 1; DELETE FROM t', 'DELETE'),
        ('WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x', 'INSERT'),
        ('WITH x AS (SELECT 1)UPDATE t SET a = 1', 'UPDATE'),
        ('WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x', 'DELETE'),
        ('WITH x AS MATERIALIZED (\n  -- old\n  DELETE FROM t RETURNING *\n) SELECT * FROM x', 'DELETE'),
        ('WITH x AS (SELECT 1) REPLACE INTO t SELECT * FROM x', 'REPLACE'),
        ('SELECT 1', None),
        ('', None),
        ('SELECT a FROM t FOR UPDATE', None),
        ('SELECT a FROM t WHERE b IN (SELECT 1) FOR NO KEY UPDATE SKIP LOCKED', None),
        ('WITH x AS (SELECT 1 FROM t FOR UPDATE) SELECT * FROM x', None),
        ("SELECT '; DELETE FROM t', 'it''s (DELETE FROM t'", None),
        ('SELECT a AS "(DELETE FROM" FROM t', None),
        ('SELECT `; DELETE FROM t` FROM t', None),
        ('SELECT $$; DELETE FROM t$$, $a$(DELETE FROM t$a$', None),
        ('SELECT 1 -- ; DELETE FROM t', None),
        ('SELECT 1 /* ; DELETE FROM t */', None),
        ('SELECT (REPLACE(a, b, c)), replace (a, b, c) FROM t', None),
        ("SELECT (INSERT('a', 1, 1, 'b'))", None),
        ('SELECT (update), deleted, (delete) FROM inserts', None),
        ("SET TIME ZONE 'UTC'", None),
        ('SAVEPOINT a', None),
    ],
)
def test_changes_of_data_are_found(statement, change):
    assert change_in(statement, False) == change_in(statement, True) == change


@pytest.mark.parametrize(
    ('statement', 'change'),
    [
        ('CREATE TABLE a PARTITION OF t DEFAULT', 'CREATE'),
        ('create or replace view v as select 1', 'CREATE'),
        ('ALTER TABLE t ADD a int', 'ALTER'),
        ('DROP TABLE t', 'DROP'),
        ('TRUNCATE t', 'TRUNCATE'),
        ('REFRESH MATERIALIZED VIEW v', 'REFRESH'),
        ('-- nightly\nCALL clean_up()', 'CALL'),
        ('DO $$ BEGIN PERFORM 1; END $$', 'DO'),
        ('NOTIFY changes', 'NOTIFY'),
        ("COPY t FROM '/t'", 'COPY'),
        ('COPY "t" (a, b) FROM STDIN', 'COPY'),
        ("COPY t TO '/t'", None),
        ('COPY (SELECT * FROM t) TO STDOUT', None),
        ('CREATE TEMP TABLE a AS SELECT 1', None),
        ('CREATE LOCAL TEMPORARY TABLE a (b int)', None),
        ('CREATE OR REPLACE TEMP VIEW v AS SELECT 1', None),
        ('SELECT created, (call) FROM t', None),
    ],
)
def test_schema_changes_count_where_they_are_rolled_back(statement, change):
    assert change_in(statement, True) == change
    assert change_in(statement, False) is None
