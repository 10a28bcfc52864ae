"""The tree of the tests, which is that of the package."""

import ast
import re
from pathlib import Path

import pytest

import pyramid_cron

TESTS = Path(__file__).parent
PACKAGE = Path(pyramid_cron.__file__).parent
MODULES = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob('*.py'))]


def has_code(module):
    """Check whether a module defines a function or a class: some packages have names and a docstring alone."""
    tree = ast.parse((PACKAGE / module).read_text(encoding='utf-8'))
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body)


def file_of_tests(module):
    """Return where the tests of a module are: those of a package are in ``test_init.py``."""
    return TESTS / module.parent / f'test_{module.stem.strip("_")}.py'


@pytest.mark.slow
@pytest.mark.parametrize('module', MODULES, ids=str)
def test_each_module_has_its_test_file(module):
    if module.name == '__init__.py' and not has_code(module):
        return
    assert file_of_tests(module).exists()


# what each package imports of the others
IMPORTS = {
    'access': set(),
    'doctor': {'access', 'schedules', 'store', 'monitoring'},
    'healthchecks': {'schedules'},
    'monitoring': {'access', 'schedules', 'store'},
    'queues': {'schedules', 'store'},
    'rehearsal': set(),
    'schedules': set(),
    'scripts': {'doctor', 'monitoring', 'queues', 'rehearsal', 'schedules', 'store', 'timeline'},
    'sentry': {'schedules'},
    'status': {'monitoring', 'schedules', 'store', 'timeline'},
    'store': {'schedules'},
    'timeline': {'monitoring', 'schedules', 'store'},
}


@pytest.mark.parametrize('package', IMPORTS)
def test_imports_have_one_direction(package):
    assert {path.parent.name for path in PACKAGE.glob('*/__init__.py')} == set(IMPORTS)
    found = set()
    for path in (PACKAGE / package).glob('*.py'):
        found.update(re.findall(r'^ *from pyramid_cron\.(\w+)', path.read_text(encoding='utf-8'), re.MULTILINE))
    assert found & set(IMPORTS) - {package} <= IMPORTS[package]


def test_no_test_imports_a_conftest():
    texts = {path: path.read_text(encoding='utf-8') for path in TESTS.rglob('*.py') if path != Path(__file__)}
    assert [str(path) for path, text in texts.items() if 'conftest import' in text] == []
