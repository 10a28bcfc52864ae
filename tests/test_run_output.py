"""What a run leaves for people."""

import pytest

from pyramid_cron.run_output import LONGEST_NOTE, RunOutput, shortened
from tests.support.servers import Clock


@pytest.fixture
def output():
    return RunOutput('shop.sync', Clock())


def test_a_note_is_one_line_and_a_line_of_the_log(output, caplog):
    caplog.set_level('INFO', 'pyramid_cron')
    assert output.note is None
    output.take_note(' 1,204 rows,\n\t3 refused\x1b[2J ')
    assert output.note == r'1,204 rows, 3 refused\x1b[2J'
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ('INFO', r'task shop.sync notes: 1,204 rows, 3 refused\x1b[2J')
    ]


def test_the_last_note_counts_and_an_empty_one_removes_it(output, caplog):
    caplog.set_level('INFO', 'pyramid_cron')
    output.take_note('first')
    output.take_note('second')
    assert output.note == 'second'
    output.take_note(' \n')
    assert output.note == ''
    assert len(caplog.records) == 2


class Text(str):
    pass


def test_a_text_of_a_subclass_is_a_text(output):
    output.take_note(Text('markup'))
    assert output.note == 'markup'


class Proxy:
    """Something that isinstance() takes for a text."""

    __class__ = str


@pytest.mark.parametrize(('value', 'kind'), [(None, 'NoneType'), (7, 'int'), (b'text', 'bytes'), (Proxy, 'Proxy')])
def test_a_note_that_is_no_text_is_refused(output, value, kind):
    value = value() if value is Proxy else value
    with pytest.raises(TypeError, match=rf"^system\['note'\] takes a text, not {kind}$"):
        output.take_note(value)
    assert output.note is None


@pytest.mark.parametrize('length', [LONGEST_NOTE, LONGEST_NOTE + 1, 10**7])
def test_a_long_note_is_shortened(output, length):
    output.take_note('x' * length)
    assert len(output.note) <= 8 * LONGEST_NOTE
    shown = shortened(output.note)
    assert len(shown) == LONGEST_NOTE
    assert shown.endswith('...') is (length > LONGEST_NOTE)


def test_a_listener_hears_of_each_report_of_progress(output):
    heard = []
    output = RunOutput('shop.sync', Clock(), lambda task, meter: heard.append((task, meter.latest()[:2])))
    output.report_progress(1, 2)
    output.report_progress(2, 2)
    assert heard == [('shop.sync', (1, 2)), ('shop.sync', (2, 2))]


def test_progress_without_a_listener_is_kept(output):
    output.report_progress(1, 2)
    assert output.meter.latest()[:2] == (1, 2)
