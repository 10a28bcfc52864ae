"""One status page."""

from pyramid_cron.status.page import READ_VIEWS, WRITE_VIEWS, StatusPage
from pyramid_cron.status.views import StatusViews


def test_routes_of_two_pages_have_different_names():
    staff, admin = (StatusPage(path, 'read', 'write') for path in ('/staff/cron', '/admin/cron'))
    assert staff.route('task') == 'cron status /staff/cron task'
    assert staff.route('task') != admin.route('task')


def test_every_view_has_a_segment_of_its_own():
    views = {**READ_VIEWS, **WRITE_VIEWS}
    assert len(set(views.values())) == len(views) == len(READ_VIEWS) + len(WRITE_VIEWS)
    assert all(hasattr(StatusViews, name) for name in views)
