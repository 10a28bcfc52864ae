"""The simple commands of a shell's command line, and the options of curl and wget."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

PROGRAMS = ('curl', 'wget', 'pcron')
SHELLS = ('sh', 'bash', 'dash')
SEPARATORS = (';', '&', '&&', '||', '|', '|&', '(', ')')
PIPES = ('|', '|&')
REDIRECTIONS = ('>', '>>', '>&', '&>', '&>>', '>|')
NULL = '/dev/null'

# the short options of curl and wget that are examined here, by their long names
CURL_NAMES = {
    'f': 'fail',
    's': 'silent',
    'S': 'show-error',
    'L': 'location',
    'o': 'output',
    'H': 'header',
    'K': 'config',
    'm': 'max-time',
    'I': 'head',
    'X': 'request',
    'x': 'proxy',
}
WGET_NAMES = {'q': 'quiet', 'O': 'output-document'}
# short options with a value, which may stand behind them or be the next word
CURL_VALUES = frozenset('AbcCdDeEFHKmoPQrtTuUwxXyYz')
WGET_VALUES = frozenset('aeioABDGILOPQRTUtwlX')
# long options with a value that may be the next word
CURL_LONG_VALUES = frozenset(
    {
        'cacert',
        'cert',
        'config',
        'connect-timeout',
        'connect-to',
        'cookie',
        'data',
        'dump-header',
        'header',
        'interface',
        'key',
        'local-port',
        'max-redirs',
        'max-time',
        'noproxy',
        'oauth2-bearer',
        'output',
        'proxy',
        'request',
        'resolve',
        'retry',
        'retry-delay',
        'retry-max-time',
        'stderr',
        'unix-socket',
        'url',
        'user',
        'user-agent',
        'write-out',
    }
)
WGET_LONG_VALUES = frozenset({'header', 'max-redirect', 'output-document', 'output-file', 'timeout', 'tries'})


class ShellCommand(NamedTuple):
    """A simple command that calls one of :data:`PROGRAMS`.

    :param program: its name.
    :param words: its arguments.
    :param output: where its standard output goes: a file, ``'|'``, or ``''`` for the mail of cron.
    :param errors: the same for its standard error.
    """

    program: str
    words: Sequence[str]
    output: str = ''
    errors: str = ''


def commands_of(text: str) -> Iterator[ShellCommand]:
    """Yield the simple commands of a text that call one of :data:`PROGRAMS`.

    :raises ValueError: if a quotation mark is missing.
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ''
    words: list[str] = []
    for token in (*lexer, ';'):
        if token not in SEPARATORS:
            words.append(token)
            continue
        yield from _simple(words, token)
        words = []


def _simple(words: list[str], separator: str) -> Iterator[ShellCommand]:
    # a pipe is there before the redirections
    targets = {'1': '|' if separator in PIPES else '', '2': '|' if separator == '|&' else ''}
    kept: list[str] = []
    pending = iter(words)
    for word in pending:
        if word not in REDIRECTIONS:
            kept.append(word)
            continue
        target = next(pending, '')
        # shlex has separated the number from what follows it
        stream = kept.pop() if kept and kept[-1] in targets and not word.startswith('&') else '1'
        if word == '>&' and target in targets:
            targets[stream] = targets[target]
        else:
            targets[stream] = target
            if word.startswith('&') or word == '>&':
                targets['2'] = target
    names = [os.path.basename(word) for word in kept]
    if names and names[0] in SHELLS and '-c' in kept[:-1]:
        yield from commands_of(kept[kept.index('-c') + 1])
        return
    index = next((index for index, name in enumerate(names) if name in PROGRAMS), None)
    if index is not None:
        yield ShellCommand(names[index], kept[index + 1 :], targets['1'], targets['2'])


class Options(NamedTuple):
    """The options and URLs of a call of curl or wget.

    :param values: the values of each option by its long name, ``''`` for one without a value.
    :param urls: the words that are no options.
    """

    values: Mapping[str, Sequence[str]]
    urls: Sequence[str]

    def has(self, *names: str) -> bool:
        """Return whether one of these options is there."""
        return any(name in self.values for name in names)

    def last(self, name: str) -> str | None:
        """Return the last value of an option, ``None`` if it is not there."""
        return self.values[name][-1] if name in self.values else None


def options_of(command: ShellCommand) -> Options:
    """Return the options and URLs of a call of curl or wget."""
    names, shorts, longs = CURL_NAMES, CURL_VALUES, CURL_LONG_VALUES
    if command.program == 'wget':
        names, shorts, longs = WGET_NAMES, WGET_VALUES, WGET_LONG_VALUES
    values: dict[str, list[str]] = {}
    urls: list[str] = []
    pending = iter(command.words)
    for word in pending:
        if word.startswith('--'):
            name, equals, value = word[2:].partition('=')
            if not equals and name in longs:
                value = next(pending, '')
            values.setdefault(name, []).append(value)
        elif word.startswith('-') and len(word) > 1:
            _add_short(word[1:], pending, names, shorts, values)
        else:
            urls.append(word)
    return Options(values, [*urls, *values.get('url', ())])


def _add_short(
    letters: str, pending: Iterator[str], names: Mapping[str, str], shorts: frozenset[str], values: dict[str, list[str]]
) -> None:
    """Add the options of a word such as ``fsSo/dev/null``."""
    for index, letter in enumerate(letters):
        value = ''
        if letter in shorts:
            value = letters[index + 1 :] or next(pending, '')
        values.setdefault(names.get(letter, letter), []).append(value)
        if letter in shorts:
            return
