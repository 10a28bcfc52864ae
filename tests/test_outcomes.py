from pyramid_cron.outcomes import ALARMING, DONE, EXCUSED, OUTCOMES


def test_a_summary_counts_each_alarm_and_each_success():
    assert {*ALARMING, *DONE} <= set(OUTCOMES)
    assert len(set(OUTCOMES)) == len(OUTCOMES)


def test_no_alarm_is_a_success():
    assert not set(ALARMING) & set(DONE)


def test_excuses_are_no_outcomes_that_are_alarms():
    assert not set(EXCUSED) & set(ALARMING)
