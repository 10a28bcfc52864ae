from pyramid_cron.doctor.findings import FAIL, OK, Finding


def test_the_remedy_comes_after_the_text():
    assert str(Finding(FAIL, 'zone', 'TZ is wrong', 'correct it')) == 'TZ is wrong; correct it'
    assert str(Finding(OK, 'zone', 'all is well')) == 'all is well'
