"""The public names of ``pyramid_cron.store``."""

import pytest

import pyramid_cron.store


def test_each_name_is_there():
    names = {name: getattr(pyramid_cron.store, name) for name in pyramid_cron.store.__all__}
    assert set(names) == set(pyramid_cron.store.MODULES)
    for name, value in names.items():
        assert getattr(value, '__name__', name) == name


def test_any_other_name_is_refused():
    with pytest.raises(AttributeError, match=r"^module 'pyramid_cron\.store' has no attribute 'include_names'$"):
        pyramid_cron.store.include_names  # noqa: B018
