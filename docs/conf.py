"""The Sphinx configuration. It needs no network."""

import importlib.metadata
import re

from pyramid_cron import events
from pyramid_cron.settings import PREFIX, TABLE

project = 'pyramid_cron'
author = 'the pyramid_cron contributors'
copyright = author
release = importlib.metadata.version('pyramid_cron')
version = release

extensions = ['sphinx.ext.autodoc', 'sphinx_copybutton']
exclude_patterns = ['_build']

html_theme = 'furo'
html_title = project
html_logo = html_favicon = '_static/logo.svg'
html_static_path = ['_static']
html_css_files = ['pages.css']
html_show_sourcelink = False
html_copy_source = False

highlight_language = 'text'
manpages_url = 'https://manpages.debian.org/{page}.{section}'

# what is typed, without what a terminal shows before it and prints
copybutton_prompt_text = r'>>> |\.\.\. |\$ '
copybutton_prompt_is_regexp = True

autodoc_member_order = 'bysource'
# the docstrings say it in words, and the hints use names that only this package's own modules know
autodoc_typehints = 'none'

# what the modules of engines and of the toolbar import, which need not be installed for these pages
autodoc_mock_imports = ['celery', 'procrastinate', 'psycopg', 'pyramid_debugtoolbar']

# names of other projects are not looked up, because that takes the network, nor are Python's
nitpick_ignore_regex = [
    ('py:.*', r'(datetime|pyramid|zoneinfo)\..*'),
    ('py:exc', r'SystemExit|KeyboardInterrupt|ImportError|LookupError|RuntimeError|TypeError|ValueError'),
]


def shown(default):
    return f'``{default}``' if default else 'not set'


# |cron.window| is the default of that setting, taken from its one definition
rst_epilog = '\n'.join(f'.. |{PREFIX}{name}| replace:: {shown(default)}' for name, (default, _) in TABLE.items())


def show_interface(app, what, name, obj, options, lines):
    """Add to the text of an event what its interface has: its own name, and a line for each attribute."""
    interface = getattr(events, f'I{obj.__name__}', None) if what == 'class' else None
    if interface is not None:
        entry = f'.. index:: single: {interface.__name__} (interface in {events.__name__})'
        about = ' '.join(interface.getDoc().split())
        params = [f':param {field}: {interface[field].getDoc()}' for field in obj.__dataclass_fields__]
        lines[:] = [entry, '', about, '', *lines, '', *params]


def link_pages(app, relative_path, parent_docname, content):
    """Make links of the names of pages in CHANGES.rst, which PyPI shows as well."""
    content[0] = re.sub(r'``docs/(\w+)\.rst``', r':doc:`\1`', content[0])


def setup(app):
    app.connect('include-read', link_pages)
    app.connect('autodoc-process-docstring', show_interface)
