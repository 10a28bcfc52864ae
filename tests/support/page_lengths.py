"""The lines of a page of the documentation that a reader sees, also those of a file that it includes."""

import re

#: what is not shown
HIDDEN = re.compile(r'^( *)\.\. (?:invisible-code-block: python|toctree::)\n(?:\n|\1    .*\n)*', re.MULTILINE)
#: directives, their options, labels, and what underlines a title
MARKUP = re.compile(r' *(\.\. |:[\w-]+:( |$)|[-=~]{3,}$)')
#: a whole file; the measured tables of the benchmarks, which are parts of one, are looked up and not read
INCLUDE = re.compile(r'^\.\. include:: (\S+)\n(?! +:)', re.MULTILINE)


def shown_lines(text):
    """Count the lines of a page that a reader sees."""
    return sum(bool(line.strip()) and not MARKUP.match(line) for line in HIDDEN.sub('', text).splitlines())


def read_page(path):
    """Return the text of a page, with the files that it includes."""
    return INCLUDE.sub(
        lambda match: (path.parent / match[1]).read_text(encoding='utf-8'), path.read_text(encoding='utf-8')
    )
