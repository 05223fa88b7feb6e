"""Where the time went: phases, starved moments and advice, of flights that are made up."""

from __future__ import annotations

from aio_posix.study.observed import Flight, Life
from aio_posix.study.replay import replay
from aio_posix.study.trace.summary import advice, percentile, phases, spent, starved

MS = 10**6


def flight(
    serial: int, fd: int, asked: int, began: int | None, ended: int | None, helper: int
) -> Flight:
    span = (asked * MS, asked * MS + 1)
    began, ended = (None if one is None else one * MS for one in (began, ended))
    return Flight(serial, fd, f"r{serial}", span, helper=helper, began=began, ended=ended)


# A pool of two: both are blocked, a third waits from 3 to 50 ms for the first to return.
FLIGHTS = [flight(1, 5, 1, 1, 50, 11), flight(2, 6, 2, 2, 90, 12), flight(3, 7, 3, 50, 51, 11)]
LIVES = {11: Life(MS), 12: Life(2 * MS)}


def test_a_moment_is_starved_while_all_are_busy_and_somebody_could_run() -> None:
    (span,) = starved(replay(FLIGHTS, LIVES, 2), 100 * MS)
    assert (span.begin, span.end, span.waiting, span.helpers) == (3 * MS, 50 * MS, 1, 2)
    assert span.ended_by == "helper 1 completes r1, takes r3"


def test_what_nothing_ends_lasts_to_the_end() -> None:
    silent = [FLIGHTS[0]._replace(ended=None), FLIGHTS[1], flight(3, 7, 3, None, None, 0)]
    silent[1] = silent[1]._replace(ended=None)
    (span,) = starved(replay(silent, LIVES, 2), 100 * MS)
    assert (span.end, span.ended_by) == (100 * MS, "")


def test_a_pool_that_may_grow_or_whose_size_nobody_knows_starves_nobody() -> None:
    assert starved(replay(FLIGHTS, LIVES, 3), 100 * MS) == []
    assert starved(replay(FLIGHTS, LIVES, None), 100 * MS) == []


def test_the_phases_of_a_request_add_up_to_its_time() -> None:
    taken = FLIGHTS[2]._replace(owner="queue", told=60 * MS)
    assert spent(taken, {})["until the program looked"] == 9 * MS
    one = FLIGHTS[2]._replace(owner="callback", told=60 * MS, over=61 * MS)
    found = {p.name: p.total for p in phases([one], replay([*FLIGHTS[:2], one], LIVES, 2).heads)}
    assert found == {
        "behind its own descriptor": 0,
        "waiting for a helper": 47 * MS,
        "I/O": MS,
        "notification": 9 * MS,
        "callback": MS,
    }


def test_a_starved_pool_is_told_how_many_threads_would_have_done() -> None:
    found = replay(FLIGHTS, LIVES, 2)
    (line,) = advice(phases(FLIGHTS, found.heads), starved(found, 100 * MS))
    assert line == (
        "47 ms of 185 ms waiting for a helper: aio_init(aio_threads=3) before the first request"
    )


def test_one_queue_with_a_blocked_head_is_told_of_dup() -> None:
    queue = [flight(1, 5, 1, 1, 90, 11), flight(2, 5, 2, 90, 91, 11), flight(3, 5, 3, 91, 92, 11)]
    found = replay(queue, {11: Life(MS)}, 20)
    (line,) = advice(phases(queue, found.heads), starved(found, 100 * MS))
    assert "behind its own descriptor: os.dup()" in line


def test_where_no_time_was_lost_there_is_no_advice() -> None:
    assert advice([], []) == []
    quick = [flight(n, n + 4, n, n, n + 1, 11) for n in range(1, 5)]
    assert advice(phases(quick, replay(quick, {}, 20).heads), []) == []


def test_a_percentile_is_one_of_the_values() -> None:
    assert [percentile([3, 1, 2], percent) for percent in (1, 50, 99, 100)] == [1, 2, 3, 3]
    assert percentile(range(1, 1001), 99) == 990
