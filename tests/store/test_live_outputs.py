"""Outputs of runs: as they are kept, and as a text in the row of their process."""

import logging

import pytest
from sqlalchemy import update

from pyramid_cron.run_log import RunLog
from pyramid_cron.run_output import LONGEST_NOTE, RunOutput
from pyramid_cron.scrub import NOT_SCRUBBED, Scrubbed, Scrubber
from pyramid_cron.store.live_outputs import NOTHING, KeptOutput, kept_output, read_outputs, write_outputs
from pyramid_cron.store.schema import processes, runs
from tests.support.servers import Clock

SECRET = Scrubber(lambda text: text.replace('secret', '***'))
LIMIT = 200


@pytest.fixture
def output():
    output = RunOutput('task', Clock())
    output.log = RunLog(LIMIT, None)
    return output


def log(output, message):
    output.log.add(logging.makeLogRecord({'levelno': 20, 'levelname': 'INFO', 'name': 'shop', 'msg': message}))


def test_without_output_nothing_is_kept(output):
    for silent in (None, output, RunOutput('task', Clock())):
        assert kept_output(silent, SECRET) == NOTHING


def test_note_and_log_are_scrubbed(output):
    output.take_note('a secret')
    log(output, 'the secret')
    kept = kept_output(output, SECRET)
    assert kept.note == 'a ***'
    assert kept.log.endswith('INFO shop: the ***')
    assert {type(text) for text in kept} == {Scrubbed}


def test_a_note_that_was_removed_replaces_the_one_that_was_written(output):
    output.take_note('first')
    output.take_note('')
    assert kept_output(output, SECRET) == ('', None)


def test_what_cannot_be_scrubbed_is_left_out(output):
    output.take_note('a secret')
    log(output, 'the secret')
    assert kept_output(output, Scrubber(lambda text: None)) == (NOT_SCRUBBED, NOT_SCRUBBED)


def test_what_is_to_be_taken_out_may_stand_at_the_cut(output):
    output.take_note('x' * (LONGEST_NOTE - 6) + 'secret and more')
    for number in range(100):
        log(output, f'secret {number} secret')
    kept = kept_output(output, SECRET)
    assert len(kept.note) == LONGEST_NOTE
    assert kept.note.endswith('x***...')
    assert LIMIT - 20 <= len(kept.log) <= LIMIT
    for text in kept:
        assert not any(f'{"secret"[:size]}' in text for size in (3, 4, 5))


@pytest.mark.parametrize('character', ['x', '\xe9', '\u20ac', '\U0001f600', '\x00', '\ud83d'])
def test_no_more_bytes_than_the_limit_are_kept(output, character):
    for _ in range(10):
        log(output, character * 50)
    kept = kept_output(output, SECRET).log
    assert LIMIT - 4 <= len(kept.encode()) <= LIMIT
    assert kept.startswith('...')
    assert '\x00' not in kept


@pytest.mark.parametrize(
    ('kept', 'is_ascii'),
    [
        (NOTHING, True),
        (KeptOutput('note', 'log'), True),
        (KeptOutput('n\xf6te'), False),
        (KeptOutput(None, '\xe9'), False),
    ],
)
def test_what_any_database_takes_is_ascii(kept, is_ascii):
    assert kept.is_ascii is is_ascii


def test_outputs_are_read_as_they_were_written():
    by_run = {'first': KeptOutput('n\xf6te', None), 'second': KeptOutput(None, 'l\xf6g\n\x1b'), 'third': NOTHING}
    text = write_outputs(by_run)
    assert text.isascii()
    assert read_outputs(text) == {'first': ('n\xf6te', None), 'second': (None, 'l\xf6g\n\x1b')}
    assert isinstance(read_outputs(text)['first'].note, Scrubbed)
    assert write_outputs({'third': NOTHING}) is None


def test_a_text_of_a_version_to_come_is_read_as_far_as_it_is_known():
    assert read_outputs('{"a": ["note", null, "more"]}') == {'a': ('note', None)}


@pytest.mark.parametrize('text', [None, '', 'x', '[]', '{"a": 1}', '{"a": {"b": 1}}'])
def test_a_text_that_cannot_be_read_has_none(text):
    assert read_outputs(text) == {}


@pytest.mark.slow
@pytest.mark.each_database
def test_outputs_are_those_of_the_history_and_of_runs_in_progress(servers):
    server = servers.start().add('ended', lambda system: system['note']('over'), min='*').add('silent', min='*')
    server.add('running', min='*')
    server.tick(0)
    servers.hold('running')
    servers.execute(update(processes).values(outputs=write_outputs({'other': KeptOutput('n\xf6te', 'log')})))
    ids = {row['task']: row['id'] for row in servers.rows(runs)}
    with server.store.queries() as queries:
        found = queries.outputs_of(list(ids.values()))
        assert found == {ids['ended']: ('over', None), 'other': ('n\xf6te', 'log')}
        assert queries.outputs_of([ids['ended']]) == {ids['ended']: ('over', None)}
