"""Addresses in texts as links."""

import re

import pytest
from markupsafe import Markup

from pyramid_cron.status.links import link_addresses


def link(address):
    return f'<a href="{address}" rel="noopener noreferrer">{address}</a>'


@pytest.mark.parametrize(
    ('text', 'before', 'address', 'after'),
    [
        ('https://wiki.example/run', '', 'https://wiki.example/run', ''),
        ('See http://wiki.example/a?b=1&c=2#d.', 'See ', 'http://wiki.example/a?b=1&amp;c=2#d', '.'),
        ('HTTPS://WIKI.example', '', 'HTTPS://WIKI.example', ''),
        ('Runbook (https://wiki.example/run_(2)), and', 'Runbook (', 'https://wiki.example/run_(2)', '), and'),
        ('[https://wiki.example/[x]]!', '[', 'https://wiki.example/[x]', ']!'),
        ('`Runbook <https://wiki.example/run>`_', '`Runbook &lt;', 'https://wiki.example/run', '&gt;`_'),
        ('*https://wiki.example*', '*', 'https://wiki.example', '*'),
        ('راجع https://wiki.example/دليل الآن', 'راجع ', 'https://wiki.example/دليل', ' الآن'),
    ],
)
def test_an_address_is_a_link_without_the_sentence_around_it(text, before, address, after):
    assert link_addresses(text) == f'{before}{link(address)}{after}'


def test_several_addresses_are_links_on_their_lines():
    found = link_addresses('a https://x.example,\nb https://y.example')
    assert found == f'a {link("https://x.example")},\nb {link("https://y.example")}'


@pytest.mark.parametrize(
    'text',
    [
        '',
        'no address',
        'javascript:alert(1)',
        'data:text/html,x',
        'ftp://host/file',
        'file:///etc/passwd',
        'www.example.com',
        'https://',
        'https://.',
        'http:///path',
        'xhttps://host',
    ],
)
def test_what_is_no_address_of_the_web_stays_a_text(text):
    assert link_addresses(text) == text


@pytest.mark.parametrize(
    'text',
    [
        '<script>alert(1)</script>',
        'https://x.example/"onmouseover="alert(1)',
        "https://x.example/'onmouseover='alert(1)",
        'https://x.example/<img src=x onerror=alert(1)>',
        'https://x.example/javascript:alert(1)"><b>',
        'https://x.example/&quot;onclick=alert(1)',
        'https://x.example/\x00"\x1f<b>',
    ],
)
def test_no_text_gets_out_of_its_place(text):
    html = link_addresses(text)
    assert isinstance(html, Markup)
    # without the links it is escaped as a whole, and a link has these two attributes only
    rest = re.sub(r'<a href="https://[^"<>]*" rel="noopener noreferrer">([^<>]*)</a>', r'\1', html)
    assert not re.search(r'[<>"]', rest.replace('&#34;', ''))
    assert Markup(html).striptags() == Markup(Markup.escape(text)).striptags()
