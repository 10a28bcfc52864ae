from setuptools import setup

setup(
    name='pyramid_cron_demo',
    version='1.0',
    description='A Pyramid application with scheduled tasks',
    packages=['pyramid_cron_demo'],
    python_requires='>=3.10',
    install_requires=['pyramid_cron', 'waitress'],
    entry_points={'paste.app_factory': ['main = pyramid_cron_demo:main']},
)
