import pytest

from pyramid_cron.doctor.crontab_check import Application, examine_triggers, triggers_of
from pyramid_cron.doctor.crontab_lines import Crontab, lines_of

SECRET = b'a secret of some length'
DOCUMENTED = [
    '* * * * *   curl -fsSL --max-redirs 0 --max-time 300 -o /dev/null http://localhost:6543/cron',
    "* * * * * curl -sSLm 300 --fail-with-body 'http://localhost:6543/cron?quiet'",
    "* * * * * curl -sSLm 300 --fail-with-body -H @h --unix-socket /run/demo/demo.sock 'http://localhost/cron?quiet'",
    '* * * * *   /srv/shop/.venv/bin/pcron tick /srv/shop/shop.ini >/dev/null',
    '* * * * *   cd /srv/shop && .venv/bin/pcron tick shop.ini#main',
    '* * * * *   wget -nv -O /dev/null --max-redirect=0 http://localhost:6543/cron',
    "*/1 * * * * sh -c 'curl --fail -Lm 300 -o x localhost:6543/cron'",
]


@pytest.fixture
def check():
    """Return a function that examines the text of a crontab, and returns its findings."""

    def run(text, account='me', unreadable=(), has_mail=True, ignored=None, **values):
        application = Application(
            **{'path': '/cron', 'config_uri': '/srv/shop/shop.ini', 'secret': None, 'account': 'me', 'has_store': False}
            | values
        )
        lines = lines_of(Crontab('mine', text, account, ignored))
        return list(examine_triggers(list(triggers_of(lines, application)), application, unreadable, has_mail))

    return run


def texts(findings):
    return [f'{finding.status} {finding.text}' for finding in findings]


@pytest.mark.parametrize('line', DOCUMENTED)
def test_documented_lines_are_ok(check, line):
    [found] = check(line + '\n')
    assert (found.status, found.topic, found.remedy) == ('ok', 'crontab', '')
    assert found.text.startswith('mine, line 1: ')
    assert found.text.endswith(' as me')


@pytest.mark.parametrize(
    'line',
    [
        '* * * * * curl http://localhost/other',
        '* * * * * curl http://localhost:none/cron',
        "* * * * * curl 'http://localhost/cron",
        '* * * * * pcron tick /srv/other/shop.ini',
        '* * * * * pcron tick other.ini',
        '* * * * * pcron list shop.ini',
        '* * * * * pcron tick',
        '# * * * * * curl http://localhost/cron',
    ],
)
def test_lines_of_something_else_are_left_out(check, line):
    [found] = check(line + '\n', unreadable=['/etc/crontab (Permission denied)'])
    assert found.status == 'warn'
    assert found.text == (
        'no line of a crontab that me can read requests /cron or calls pcron tick; '
        'not readable: /etc/crontab (Permission denied)'
    )


def test_a_missing_line_is_no_failure(check):
    [found] = check('')
    assert (found.status, 'not readable' in found.text) == ('warn', False)


@pytest.mark.parametrize(
    ('line', 'text', 'remedy'),
    [
        # that of 0.1
        ('curl -o /dev/null http://localhost/cron', 'fail curl has no -f', 'add --fail-with-body'),
        ('curl -fsLm 300 -o x http://localhost/cron', 'fail curl -s shows no error', 'write -sS'),
        ('curl -fm 300 -o x localhost/cron', 'warn curl takes a redirect for success', 'add -L'),
        ('curl -fL --max-redirs 0 -o x localhost/cron', 'warn curl waits for ever', 'add -m 300'),
        ('curl -fLm 300 localhost/cron', 'warn cron mails the answer of each minute', 'request ?quiet'),
        ("curl -fLm 300 'localhost/cron?a=quiet'", 'warn cron mails the answer', 'request ?quiet'),
        ("curl -fLm 300 'localhost/cron?quiet&check'", 'fail it requests ?check', 'remove check'),
        ("curl -fLIm 300 'localhost/cron?quiet'", 'fail its method runs nothing', 'remove -I or -X'),
        ("curl -fLm 300 -X PUT 'localhost/cron?quiet'", 'fail its method runs nothing', 'remove -I or -X'),
        ('curl -fLm 300 -x http://p:3128 -o x localhost/cron', 'fail the request goes to a proxy', 'remove -x'),
        (
            'curl -fLm 300 -o x http://localhost/cron 2>/dev/null',
            'fail it throws errors away',
            'remove the redirection',
        ),
        ('pcron tick shop.ini >/dev/null 2>&1', 'fail it throws errors away', 'remove the redirection'),
        ('wget -q -O x --max-redirect=0 localhost/cron', 'fail wget -q shows no error', 'wget -nv'),
        ('wget --max-redirect=0 localhost/cron', 'warn wget writes a file', 'add -O /dev/null'),
        ('wget -O x http://localhost/cron', 'warn wget follows a redirect', 'add --max-redirect=0'),
        (
            'curl -fLm 300 -o /dev/null http://www.example.com/cron',
            'warn it requests www.example.com',
            'http://localhost',
        ),
    ],
)
def test_what_hides_an_error_is_found(check, line, text, remedy):
    [found] = check(f'* * * * * {line}\n')
    status, _, text = text.partition(' ')
    assert found.status == status
    assert found.text.startswith(f'mine, line 1: {text}')
    assert remedy in found.remedy


def test_other_minutes_are_found(check):
    assert texts(check('*/5 * * * * curl -fLm 300 -o /dev/null localhost/cron\n')) == [
        'warn mine, line 1: it runs at */5 * * * *, and what is due at other minutes is late or missed'
    ]


def test_an_empty_mailto_is_found(check):
    assert texts(check('MAILTO=""\n* * * * * curl -fLm 300 -o /dev/null localhost/cron\n')) == [
        'warn mine, line 2: MAILTO is empty, so that cron mails no error'
    ]


def test_a_line_that_cron_ignores_is_found(check):
    [found] = check('* * * * * curl -fLm 300 -o /dev/null localhost/cron')
    assert (found.status, found.remedy) == ('fail', 'end it with one')
    assert found.text == 'mine, line 1: cron ignores a last line without a newline'
    [found] = check('* * * * * curl -fLm 300 -o /dev/null localhost/cron\n', ignored='of its name: rename it')
    assert (found.text, found.remedy) == ('mine, line 1: of its name', 'rename it')


def test_a_mail_program_is_needed_for_errors(check):
    line = '* * * * * curl -fLm 300 -o /dev/null localhost/cron'
    assert texts(check(f'{line}\n', has_mail=False)) == [
        'ok mine, line 1: curl as me',
        'warn there is no /usr/sbin/sendmail, by which cron would mail errors',
    ]
    assert texts(check(f'{line} 2>>errors\n', has_mail=False)) == ['ok mine, line 1: curl as me']


def test_two_kinds_of_triggers_need_a_store(check):
    both = '* * * * * curl -fLm 300 -o /dev/null localhost/cron\n* * * * * pcron tick shop.ini\n'
    *lines, found = check(both)
    assert (len(lines), found.status) == (2, 'fail')
    assert 'without a store each runs what is due' in found.text
    assert len(check(both, has_store=True)) == 2


# accounts and secrets


def test_root_needs_a_low_port(check):
    line = '* * * * * curl -fLm 300 -o /dev/null {} localhost/cron\n'
    [found] = check(line.format(''), account='root')
    assert (found.status, found.remedy) == ('warn', 'add --local-port 600-1023')
    # root requests as the line does, and sees it
    assert texts(check(line.format(''), account='root', is_root=True)) == ['ok mine, line 1: curl as root']
    assert texts(check(line.format('--local-port 600-1023'), account='root')) == [
        'warn mine, line 1: it runs as root, and me cannot check that'
    ]
    application = {'account': 'root'}
    lines = list(lines_of(Crontab('mine', line.format('--local-port 600-1023'), 'root')))
    made = Application('/cron', '/a.ini', None, has_store=False, **application)
    assert [found.status for found in examine_triggers(list(triggers_of(lines, made)), made)] == ['ok']


def test_another_account_cannot_be_checked(check):
    [found] = check('* * * * * curl -fLm 300 -o /dev/null localhost/cron\n', account='www-data')
    assert (found.status, found.remedy) == ('warn', 'check it as www-data or set cron.secret')
    [found] = check('* * * * * curl -fLm 300 -o /dev/null localhost/cron\n', account='www-data', is_root=True)
    assert found.status == 'ok'


@pytest.mark.parametrize('options', ['-H @.cron-header', '--header @h', '-K config', '--oauth2-bearer @x'])
def test_a_secret_needs_a_header(check, options):
    [found] = check('* * * * * curl -fLm 300 -o /dev/null localhost/cron\n', secret=SECRET, account='root')
    assert (found.status, found.text) == ('fail', 'mine, line 1: cron.secret is set, and it sends no header')
    [found] = check(f'* * * * * curl -fLm 300 -o /dev/null {options} localhost/cron\n', secret=SECRET, account='root')
    assert found.status == 'ok'


def test_a_secret_on_the_command_line_shows(check):
    [found] = check(
        f"* * * * * curl -fLm 300 -o /dev/null -H 'Cron-Secret: {SECRET.decode()}' localhost/cron\n", secret=SECRET
    )
    assert found.status == 'warn'
    assert 'ps shows' in found.text
    assert SECRET.decode() not in str(found)


def test_a_secret_needs_https_between_machines(check):
    [found] = check('* * * * * curl -fLm 300 -o /dev/null -H @h http://example.com/cron\n', secret=SECRET)
    assert (found.status, found.remedy) == ('fail', 'use https, or request localhost')
    [found] = check('* * * * * curl -fLm 300 -o /dev/null -H @h https://example.com/cron\n', secret=SECRET)
    assert found.status == 'ok'


@pytest.mark.parametrize(
    ('variables', 'options', 'status'),
    [
        ('http_proxy=http://proxy:3128', '', 'fail'),
        ('all_proxy=http://proxy:3128', '', 'fail'),
        ('http_proxy=http://proxy:3128', "--noproxy '*'", 'ok'),
        ('http_proxy=http://proxy:3128\nno_proxy=localhost', '', 'ok'),
        # curl does not read this one
        ('HTTP_PROXY=http://proxy:3128', '', 'ok'),
    ],
)
def test_a_proxy_of_curl_is_found(check, variables, options, status):
    [found] = check(f'{variables}\n* * * * * curl -fLm 300 -o /dev/null {options} localhost/cron\n')
    assert found.status == status
