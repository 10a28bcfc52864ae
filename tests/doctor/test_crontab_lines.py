import pytest

from pyramid_cron.doctor.crontab_lines import Crontab, lines_of, variables_of

TEXT = r"""
# a comment
MAILTO = "me"
  'PATH'=/bin
* * * * *   curl -f http://localhost/cron
@hourly	date
*/1 * * * * touch /tmp/$(date +\%F) % input
nonsense
MAILTO=
*/5 * * * * last"""


def test_a_crontab_has_lines():
    found = list(lines_of(Crontab('mine', TEXT, 'me')))
    assert [(line.place, line.schedule, line.command) for line in found] == [
        ('mine, line 5', '* * * * *', 'curl -f http://localhost/cron'),
        ('mine, line 6', '@hourly', 'date'),
        ('mine, line 7', '*/1 * * * *', 'touch /tmp/$(date +%F) '),
        ('mine, line 10', '*/5 * * * *', 'last'),
    ]
    assert [line.account for line in found] == ['me'] * 4
    assert [line.is_each_minute for line in found] == [True, False, True, False]
    assert found[0].variables == {'MAILTO': 'me', 'PATH': '/bin'}
    assert found[3].variables == {'MAILTO': '', 'PATH': '/bin'}
    assert [line.problem is None for line in found] == [True, True, True, False]


def test_lines_of_the_system_name_an_account():
    text = '* * * * * shop curl x\n@daily root date\n* * * * * root\n'
    found = [(line.account, line.command) for line in lines_of(Crontab('system', text, None))]
    assert found == [('shop', 'curl x'), ('root', 'date')]


def test_all_lines_of_an_ignored_file_are_ignored():
    [line] = lines_of(Crontab('a.b', '* * * * * x', 'me', ignored='its name'))
    assert line.problem == 'its name'


def test_a_carriage_return_is_a_problem():
    returned, good = lines_of(Crontab('mine', '* * * * * x\r\n* * * * * x\n', 'me'))
    assert 'ends with a carriage return' in returned.problem
    assert good.problem is None


@pytest.mark.parametrize('start', ['* * * * * ', 'A=y'])
def test_a_line_too_long_for_cron_is_left_out(start):
    text = f'{start}{" " * 1_000_000}x\n* * * * * y\n'
    [line] = lines_of(Crontab('mine', text, 'me'))
    assert line.command == 'y'
    assert variables_of(text) == {}


def test_cron_passes_its_environment():
    environment = {'A': '1', 'B': '2'}
    [line] = lines_of(Crontab('mine', 'B=3\n* * * * * x\n', 'me'), environment)
    assert line.variables == {'A': '1', 'B': '3'}
    assert environment == {'A': '1', 'B': '2'}


@pytest.mark.parametrize(
    'line', ['http_proxy="http://proxy:3128"', '"http_proxy" = http://proxy:3128', "http_proxy='http://proxy:3128'"]
)
def test_variables_lose_their_quotes(line):
    assert variables_of(f'# a comment\n\n{line}\n') == {'http_proxy': 'http://proxy:3128'}
