import socket

import pytest

from pyramid_cron.doctor.address import Address, of_base_url, of_server, parameters_of, parse_url, prefix_of
from pyramid_cron.external_url import BaseURL


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('http://localhost:6543/cron', 'http://localhost:6543/cron'),
        ('http://localhost:6543', 'http://localhost:6543/cron'),
        ('http://localhost:6543/', 'http://localhost:6543/cron'),
        ('http://localhost:80/shop/cron?quiet', 'http://localhost/shop/cron'),
        ('https://example.com', 'https://example.com/cron'),
        ('https://example.com:8443', 'https://example.com:8443/cron'),
        ('http://[::1]:6543', 'http://[::1]:6543/cron'),
        ('http://localhost/caf\xe9', 'http://localhost/caf%C3%A9'),
        ('unix:/run/shop.sock', 'unix:/run/shop.sock'),
    ],
)
def test_urls_are_parsed(text, shown):
    assert str(parse_url(text, '/cron')) == shown


@pytest.mark.parametrize(
    'text',
    [
        'unix:shop.sock',
        'http:',
        'http:///cron',
        'ftp://localhost/cron',
        'http://localhost:99999/cron',
        'http://localhost/\x1b',
    ],
)
def test_no_address_is_made_of_another_text(text):
    with pytest.raises(ValueError, match=r'is no (URL|path)'):
        parse_url(text, '/cron')


@pytest.mark.parametrize(
    ('section', 'shown'),
    [
        ({'listen': 'localhost:6543'}, 'http://localhost:6543/cron'),
        ({'listen': '127.0.0.1:6543 [::1]:6543'}, 'http://127.0.0.1:6543/cron'),
        ({'listen': '*:6543'}, 'http://localhost:6543/cron'),
        ({'listen': '[::1]:6543'}, 'http://[::1]:6543/cron'),
        ({'bind': '0.0.0.0:8000,[::]:8000'}, 'http://localhost:8000/cron'),
        ({'bind': 'unix:/run/shop.sock'}, 'unix:/run/shop.sock'),
        ({'unix_socket': '/run/shop.sock'}, 'unix:/run/shop.sock'),
        ({'host': '10.0.0.7', 'port': '80'}, 'http://10.0.0.7/cron'),
        ({'use': 'egg:waitress#main'}, 'http://localhost:8080/cron'),
        ({'use': 'egg:gunicorn#main'}, 'http://localhost:8000/cron'),
        ({'use': 'egg:other#main'}, 'None'),
        ({'port': 'http'}, 'None'),
    ],
)
def test_the_section_of_a_server_has_its_address(section, shown):
    assert str(of_server(section, '/cron')) == shown


def test_the_base_url_has_the_path_of_the_mount():
    url = BaseURL.parse('https://example.com/caf%C3%A9')
    assert str(of_base_url(url, '/cron')) == 'https://example.com/caf%C3%A9/cron'
    assert prefix_of(None) == ''


def test_a_password_in_a_url_is_not_shown():
    with pytest.raises(ValueError, match='the URL has a user') as caught:
        parse_url('http://me:my-password@localhost/cron', '/cron')
    assert 'my-password' not in str(caught.value)


@pytest.mark.parametrize(
    ('text', 'names'), [('http://a/cron', ['']), ('a/cron?quiet', ['quiet']), ('a?quiet=1&check', ['quiet', 'check'])]
)
def test_a_url_has_parameters(text, names):
    assert parameters_of(text) == names


@pytest.mark.parametrize(
    ('host', 'is_loopback', 'is_this_machine'),
    [
        ('localhost', True, True),
        ('127.0.0.9', True, True),
        ('::1', True, True),
        # of no machine: they are for documentation
        ('192.0.2.1', False, False),
        ('2001:db8::1', False, False),
        ('example.com', False, False),
        ('0.0.0.0', False, False),
        ('224.0.0.1', False, False),
    ],
)
def test_a_name_is_not_taken_for_this_machine(host, is_loopback, is_this_machine):
    address = Address('http', host, 80, '/cron')
    assert (address.is_loopback, address.is_this_machine) == (is_loopback, is_this_machine)


def test_an_address_of_this_machine_is_its_own():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # sends nothing
            probe.connect(('192.0.2.1', 9))
        except OSError:
            pytest.skip('this machine has no address but loopback')
        host = probe.getsockname()[0]
    address = Address('http', host, 80, '/cron')
    assert (address.is_loopback, address.is_this_machine) == (False, True)


def test_two_addresses_can_lead_to_one_server():
    one, same, other = (parse_url(f'http://{end}', '/cron') for end in ('localhost:1', '127.0.0.1:1', 'localhost:2'))
    assert one.end == same.end != other.end
    unix = parse_url('unix:/run/shop.sock', '/cron')
    assert unix.end == ('unix:', '/run/shop.sock')
    assert unix.is_this_machine
    assert parse_url('http://Example.com', '/cron').end == ('example.com', 80)
