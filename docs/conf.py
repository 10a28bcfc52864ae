"""The Sphinx configuration. It needs no network."""

import importlib.metadata

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

# what is typed, without what a terminal shows before it and prints
copybutton_prompt_text = r'>>> |\.\.\. |\$ '
copybutton_prompt_is_regexp = True

autodoc_member_order = 'bysource'
# the docstrings say it in words, and the hints use names that only this package's own modules know
autodoc_typehints = 'none'

# names of other projects are not looked up, because that takes the network, and of ours a subclass of ValueError is not
# public
nitpick_ignore_regex = [
    ('py:.*', r'(datetime|pyramid|zoneinfo)\..*'),
    ('py:exc', r'SystemExit|KeyboardInterrupt|ScheduleError|ValueError'),
]


def shown(default):
    return f'``{default}``' if default else 'not set'


# |cron.window| is the default of that setting, taken from its one definition
rst_epilog = '\n'.join(f'.. |{PREFIX}{name}| replace:: {shown(default)}' for name, (default, _) in TABLE.items())
