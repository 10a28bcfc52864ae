import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
SOURCE = 'https://github.com/cartlogic/pyramid_cron'

TESTING = [
    'alembic',
    'argcomplete',
    'celery',
    'croniter',
    'cronsim',
    'dramatiq[redis]',
    'gevent',
    'gunicorn',
    'huey',
    'hypothesis',
    'packaging',
    'playwright',
    'procrastinate',
    'prometheus_client',
    'psycopg[binary]',
    'psycopg2-binary',
    'pyramid_debugtoolbar',
    'pyramid_jinja2',
    'pyramid_mailer',
    'pyramid_retry',
    'pyramid_tm',
    # of MariaDB, which is experimental: see docs/databases.rst
    'PyMySQL',
    'pytest',
    'pytest-cov',
    'pytest-randomly',
    'pytest-xdist',
    'PyYAML',
    'redis',
    'rq',
    'sentry-sdk',
    'SQLAlchemy',
    'sybil',
    'waitress',
    'WebTest',
    'zope.sqlalchemy',
]
# Lower bounds are the first versions with which all tests pass: ``tox -e oldest`` installs exactly these.
# the first that tells how many rows an INSERT has added on PostgreSQL (preserve_rowcount)
STORE = ['SQLAlchemy >= 2.0.28']
# 2.0 does not find the template that another one extends
STATUS = ['pyramid_jinja2 >= 2.0.1']
# 0.22 does not have the name of the format in which metrics are sent, and there is no 0.23.0
METRICS = ['prometheus_client >= 0.23.1', *STORE]
COMPLETION = ['argcomplete >= 1.12']
# the first that can write a job on a connection that it is given, and the first with wheels for Python 3.10 and 3.11
PROCRASTINATE = ['procrastinate >= 3.8', 'psycopg[binary,pool] >= 3.1.4', *STORE]
CELERY = ['celery >= 5.3']
# the first with public names for its scopes
SENTRY = ['sentry-sdk >= 2.12.0']
BENCHMARKS = [
    *METRICS,
    *PROCRASTINATE,
    *STATUS,
    'APScheduler < 4',
    'celery',
    'celery-redbeat',
    'croniter',
    'cronsim',
    'psycopg[binary]',
    'pycron',
    'pyramid_tm',
    'pytest',
    'redis',
    'waitress',
    'WebTest',
    'zope.sqlalchemy',
    *STORE,
]
# the store, because its names are on the page of the API
DOCS = ['furo', 'Sphinx', 'sphinx-copybutton', *STORE]


def read(name):
    """Return a text of this folder with the addresses of its files as PyPI needs them, which has none of the files."""
    text = (HERE / name).read_text(encoding='utf-8')
    text = re.sub(r'(?<=<)(?=(docs/|CHANGES|LICENSE)[^>]*>`_)', f'{SOURCE}/blob/main/', text)
    return re.sub(r'(?<=image:: )(?=docs/)', f'{SOURCE}/raw/main/', text)


setup(
    name='pyramid_cron',
    version='1.0.0.dev0',
    description='Scheduled tasks for Pyramid applications, without a daemon',
    long_description='\n\n'.join(map(read, ('README.rst', 'CHANGES.rst'))),
    long_description_content_type='text/x-rst',
    author='the pyramid_cron contributors',
    license_expression='MIT',
    license_files=['LICENSE'],
    project_urls={
        'Documentation': 'https://pyramid-cron.readthedocs.io/',
        'Changes': 'https://pyramid-cron.readthedocs.io/en/latest/changes.html',
        'Source': SOURCE,
    },
    keywords='pyramid cron crontab schedule scheduler tasks',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Framework :: Pyramid',
        'Intended Audience :: Developers',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Programming Language :: Python :: 3.14',
        'Topic :: Internet :: WWW/HTTP :: WSGI',
        'Typing :: Typed',
    ],
    packages=find_packages(include=['pyramid_cron', 'pyramid_cron.*']),
    package_data={
        'pyramid_cron': ['py.typed'],
        'pyramid_cron.status': ['static/*.css', 'static/*.svg', 'templates/*.pyramid_cron_jinja2'],
    },
    zip_safe=False,
    python_requires='>=3.10',
    # Windows has no time zone database of its own
    install_requires=['pyramid >= 2.0', 'tzdata; sys_platform == "win32"'],
    entry_points={'console_scripts': ['pcron = pyramid_cron.scripts.pcron:main']},
    extras_require={
        'store': STORE,
        'status': STATUS,
        'metrics': METRICS,
        'completion': COMPLETION,
        'procrastinate': PROCRASTINATE,
        'celery': CELERY,
        'sentry': SENTRY,
        'testing': TESTING,
        'docs': DOCS,
        'benchmarks': BENCHMARKS,
    },
)
