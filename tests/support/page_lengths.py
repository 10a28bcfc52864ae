"""Count the lines of the documentation that a reader sees, and warn above a limit: a part of ``tox -e lint``."""

import re
import sys
from pathlib import Path

MOST_SHOWN = 1850
DOCS = Path(__file__).parents[2] / 'docs'
#: what is not shown
HIDDEN = re.compile(r'^( *)\.\. (?:invisible-code-block: python|toctree::)\n(?:\n|\1    .*\n)*', re.MULTILINE)
#: directives, their options, labels, and what underlines a title
MARKUP = re.compile(r' *(\.\. |:[\w-]+:( |$)|[-=~]{3,}$)')


def shown_lines(text):
    """Count the lines of a page that a reader sees."""
    return sum(bool(line.strip()) and not MARKUP.match(line) for line in HIDDEN.sub('', text).splitlines())


def main():
    counts = {path.stem: shown_lines(path.read_text(encoding='utf-8')) for path in DOCS.glob('*.rst')}
    total = sum(counts.values())
    if total > MOST_SHOWN:
        longest = sorted(counts, key=counts.get, reverse=True)[:5]
        pages = ', '.join(f'{name} {counts[name]}' for name in longest)
        print(f'warning: the pages show {total} lines, {total - MOST_SHOWN} more than {MOST_SHOWN}; {pages}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
