from setuptools import setup

setup(
    name='pyramid_cron_demo',
    version='1.0',
    description='Pyramid applications with scheduled tasks',
    packages=['pyramid_cron_demo', 'pyramid_cron_port'],
    python_requires='>=3.10',
    install_requires=['pyramid_cron[status,store]', 'waitress'],
    extras_require={
        'port': [
            'celery[redis]',
            'psycopg[binary]',
            'pyramid_tm >= 2.4',
            # not by the extras of pyramid_cron: pip refuses them beside a checkout that is installed in place
            'SQLAlchemy >= 2.0.28',
            'zope.sqlalchemy',
        ]
    },
    entry_points={
        'console_scripts': ['demo-night = pyramid_cron_demo.night:main'],
        'paste.app_factory': ['main = pyramid_cron_demo:main', 'port = pyramid_cron_port:main'],
    },
)
