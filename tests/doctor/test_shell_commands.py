import pytest

from pyramid_cron.doctor.shell_commands import commands_of, options_of


@pytest.mark.parametrize(
    ('text', 'program', 'words', 'output', 'errors'),
    [
        ('curl -f x', 'curl', ['-f', 'x'], '', ''),
        ('/usr/bin/curl x >/dev/null', 'curl', ['x'], '/dev/null', ''),
        ('curl x >/dev/null 2>&1', 'curl', ['x'], '/dev/null', '/dev/null'),
        ('curl x 2>&1 >/dev/null', 'curl', ['x'], '/dev/null', ''),
        ('curl x &>/dev/null', 'curl', ['x'], '/dev/null', '/dev/null'),
        ('curl x >& /dev/null', 'curl', ['x'], '/dev/null', '/dev/null'),
        ('curl x 1>>log 2>>errors', 'curl', ['x'], 'log', 'errors'),
        ('>/dev/null curl x', 'curl', ['x'], '/dev/null', ''),
        ('curl 1 &>log', 'curl', ['1'], 'log', 'log'),
        ('curl x >', 'curl', ['x'], '', ''),
        ("flock -n /tmp/l curl 'x?a&b'", 'curl', ['x?a&b'], '', ''),
        ('cd / && A=1 wget -q x || date', 'wget', ['-q', 'x'], '', ''),
        ('curl x | logger', 'curl', ['x'], '|', ''),
        ('curl x |& logger', 'curl', ['x'], '|', '|'),
        ("/bin/sh -c 'curl x 2>/dev/null'", 'curl', ['x'], '', '/dev/null'),
        ('x/.venv/bin/pcron tick a.ini', 'pcron', ['tick', 'a.ini'], '', ''),
        ('curl http://localhost/#a', 'curl', ['http://localhost/#a'], '', ''),
    ],
)
def test_a_command_line_has_simple_commands(text, program, words, output, errors):
    assert list(commands_of(text)) == [(program, words, output, errors)]


@pytest.mark.parametrize('text', ['date', '', 'sh -c', 'sh script'])
def test_other_programs_are_left_out(text):
    assert list(commands_of(text)) == []


def test_a_missing_quotation_mark_is_an_error():
    with pytest.raises(ValueError, match='quotation'):
        list(commands_of("curl 'x"))


@pytest.mark.parametrize(
    ('text', 'values', 'urls'),
    [
        ('curl -fsSL x', {'fail': [''], 'silent': [''], 'show-error': [''], 'location': ['']}, ['x']),
        ('curl -so/dev/null x', {'silent': [''], 'output': ['/dev/null']}, ['x']),
        ('curl -o /dev/null -m 5 x', {'output': ['/dev/null'], 'max-time': ['5']}, ['x']),
        ('curl -H a -H b x', {'header': ['a', 'b']}, ['x']),
        ('curl -o', {'output': ['']}, []),
        ('curl --max-redirs 0 --max-time=3 x', {'max-redirs': ['0'], 'max-time': ['3']}, ['x']),
        ('curl --url x', {'url': ['x']}, ['x']),
        ('curl --url', {'url': ['']}, ['']),
        ('curl - x', {}, ['-', 'x']),
        ('wget -qO- x', {'quiet': [''], 'output-document': ['-']}, ['x']),
        ('wget -q -O /dev/null x', {'quiet': [''], 'output-document': ['/dev/null']}, ['x']),
        ('wget --max-redirect 0 x', {'max-redirect': ['0']}, ['x']),
    ],
)
def test_options_and_urls_are_distinguished(text, values, urls):
    [command] = commands_of(text)
    options = options_of(command)
    assert (options.values, options.urls) == (values, urls)


def test_the_last_value_counts():
    [command] = commands_of('curl -o a -o b x')
    options = options_of(command)
    assert options.last('output') == 'b'
    assert options.last('fail') is None
    assert options.has('fail', 'output')
    assert not options.has('fail')
