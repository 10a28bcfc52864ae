"""Texts of addresses and networks."""

from ipaddress import ip_address, ip_network

import pytest

from pyramid_cron.access import addresses


@pytest.mark.parametrize(
    ('text', 'network'),
    [
        ('127.0.0.1', '127.0.0.1/32'),
        ('10.0.0.0/8', '10.0.0.0/8'),
        ('10.0.0.0/255.0.0.0', '10.0.0.0/8'),
        ('::1', '::1/128'),
        ('fd00::/8', 'fd00::/8'),
        ('::ffff:10.1.2.3', '10.1.2.3/32'),
        ('::ffff:10.0.0.0/104', '10.0.0.0/8'),
        ('::ffff:0:0/96', '0.0.0.0/0'),
        ('::/0', '::/0'),
    ],
)
def test_a_network_is_read_from_its_text(text, network):
    assert addresses.parse_network(text) == ip_network(network)


@pytest.mark.parametrize(
    'value',
    [
        '',
        '0.0.0.0',
        '::',
        'fe80::1%eth0',
        '10.0.0.1/8',
        '10.0.0.0/33',
        'localhost',
        '10.0.0.',
        '::1/129',
        5,
        None,
        b'::1',
    ],
)
def test_a_text_that_is_no_network_is_refused(value):
    with pytest.raises(ValueError, match=r'address|network|host bits|has a scope'):
        addresses.parse_network(value)


@pytest.mark.parametrize(
    ('text', 'address'),
    [('127.0.0.1', '127.0.0.1'), ('::1', '::1'), ('::ffff:10.1.2.3', '10.1.2.3'), ('fe80::1', 'fe80::1')],
)
def test_an_address_is_read_from_its_text(text, address):
    assert addresses.parse_address(text) == ip_address(address)


@pytest.mark.parametrize(
    'text',
    [
        None,
        '',
        'localhost',
        '::1%lo',
        'fe80::1%eth0',
        '::ffff:127.0.0.1%1',
        '0.0.0.0',
        '::',
        '::ffff:0.0.0.0',
        '127.1',
        '1',
        '10.0.0.0/8',
    ],
)
def test_a_text_that_names_no_peer_is_refused(text):
    assert addresses.parse_address(text) is None


def test_a_text_too_long_for_an_address_is_not_parsed():
    class Text(str):
        def __contains__(self, part):
            raise AssertionError('looked into')

    assert addresses.parse_address(Text('1' * 65)) is None
    with pytest.raises(AssertionError):
        addresses.parse_address(Text('1' * 64))
