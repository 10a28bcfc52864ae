"""Slugs of tasks: names that services take in their addresses, with a-z, 0-9, ``-`` and ``_``."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

SLUG = re.compile('[a-z0-9]([a-z0-9_-]*[a-z0-9])?')
OTHERS = re.compile('[^a-z0-9_-]+')
# hexadecimal digits that keep two names apart that would have the same slug
DIGITS = 8


def slug_of(name: str, longest: int) -> str:
    """Return the slug of a task: ``shop-tasks-sync`` for ``shop.tasks.sync``.

    A name that is too long, or has letters of other scripts, ends with digits that are computed from all of it.

    :param longest: how many characters the service takes.
    """
    plain = unicodedata.normalize('NFKD', name.lower()).encode('ascii', 'ignore').decode()
    slug = OTHERS.sub('-', plain).strip('-_')
    if name.isascii() and 0 < len(slug) <= longest and not slug.isdigit():
        return slug
    digest = hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:DIGITS]
    return f'{slug[: longest - DIGITS - 1].strip("-_") or "task"}-{digest}'


def check_slug(value: str, longest: int) -> str:
    """Return a slug that a person has chosen.

    :raises ValueError: if it is not a slug.
    """
    if not SLUG.fullmatch(value) or value.isdigit() or len(value) > longest:
        raise ValueError(f'it has to have 1 to {longest} of the characters a-z, 0-9, - and _, not digits alone')
    return value


def check_distinct(slugs: Iterable[tuple[str, str]], what: str = 'slug') -> None:
    """Check that no two tasks have the same slug.

    :param slugs: the name of each task, and its slug, or what else has to be its own.
    :param what: what that is; no message shows it.
    :raises ValueError: if two have.
    """
    owners: dict[str, str] = {}
    for name, slug in slugs:
        other = owners.setdefault(slug, name)
        if other != name:
            raise ValueError(f'the tasks {other} and {name} have the same {what}; add a line for one of them')
