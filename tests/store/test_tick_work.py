from pyramid_cron.store.tick_work import TickWork
from tests.support.servers import INSTANT


def test_work_without_a_problem_has_none():
    assert TickWork(INSTANT).problem is None


def test_the_first_problems_are_shown():
    work = TickWork(INSTANT)
    for number in range(3):
        work.add_problem(f'problem {number}')
    assert work.problem == 'problem 0; problem 1; problem 2'
    work.add_problem('another')
    assert work.problem == 'problem 0; problem 1; problem 2; and 1 more'
