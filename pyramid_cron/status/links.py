"""Addresses in texts, such as those of runbooks in docstrings, as links."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

# http and https alone: a link of another scheme could run a script
ADDRESS = re.compile(r'\bhttps?://[^\s<>"`/?#\x00-\x1f\x7f-\x9f][^\s<>"`\x00-\x1f\x7f-\x9f]*', re.IGNORECASE)
# what ends a sentence, or a quotation, and not an address
ENDS = ".,;:!?'*_…)]}"
BRACKETS = {')': '(', ']': '[', '}': '{'}

# the page that opens does not get at this one, nor at its address
LINK = Markup('<a href="{0}" rel="noopener noreferrer">{0}</a>')


def link_addresses(text: str) -> Markup:
    """Return a text as HTML, with its addresses as links."""
    parts, end = [], 0
    for found in ADDRESS.finditer(text):
        address = _without_end(found[0])
        # a scheme alone
        if address.endswith('://'):
            continue
        parts += [escape(text[end : found.start()]), LINK.format(address)]
        end = found.start() + len(address)
    return Markup('').join([*parts, escape(text[end:])])


def _without_end(address: str) -> str:
    """Return an address without what belongs to the sentence around it, such as a closing bracket."""
    while address[-1] in ENDS:
        opening = BRACKETS.get(address[-1])
        if opening is not None and address.count(opening) >= address.count(address[-1]):
            break
        address = address[:-1]
    return address
