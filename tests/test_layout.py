"""The tree of the tests, which is that of the package."""

import ast
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


@pytest.mark.parametrize('module', MODULES, ids=str)
def test_each_module_has_its_test_file(module):
    if module.name == '__init__.py' and not has_code(module):
        return
    assert file_of_tests(module).exists()


def test_no_test_imports_a_conftest():
    texts = {path: path.read_text(encoding='utf-8') for path in TESTS.rglob('*.py') if path != Path(__file__)}
    assert [str(path) for path, text in texts.items() if 'conftest import' in text] == []
