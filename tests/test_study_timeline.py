"""From events and what strace wrote to lanes, boxes, arrows; from these to text, SVG, HTML, Trace
Event Format.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from aio_posix.study.trace import Event, Timeline, strace, svg, timeline
from aio_posix.study.trace.clip import clip
from aio_posix.study.trace.event import What
from aio_posix.study.trace.html import html
from aio_posix.study.trace.perfetto import nested, perfetto
from aio_posix.study.trace.rows import MOST, rows
from aio_posix.study.trace.scale import Scale, duration
from aio_posix.study.trace.table import text
from aio_posix.study.trace.timeline import QUEUE, Box, Group, Kind, Lane

MS = 10**6

# The main thread 100 reads fd 7, a socket; helper 102 is told that it is none with an offset,
# waits, and starts 103.
STRACE = """\
100 1000.000100 read(0x3, 0x5500, 0x1000) = 0x1f <0.000010>
100 1000.001100 clone3({flags=CLONE_VM|CLONE_THREAD, stack=0x1} => {tid=[101]}) = 101 <0.000050>
100 1000.001200 clone3({flags=CLONE_VM|CLONE_THREAD, stack=0x2 <unfinished ...>
102 1000.001250 pread64(0x7, 0xbeef, 0x10, 0) = -1 ESPIPE (Illegal seek) <0.000020>
100 1000.001260 <... clone3 resumed> => {parent_tid=[102]}, 88) = 102 <0.000060>
102 1000.001300 read(0x7, 0xbeef, 0x10 <unfinished ...>
100 1000.002000 clone3({flags=CLONE_VM|CLONE_VFORK} => {parent_tid=[900]}, 88) = 900 <0.000060>
900 1000.002100 read(0x7, 0xbeef, 0x10) = 0x1 <0.000010>
102 1000.005000 <... read resumed>) = 0x5 <0.003700>
102 1000.005100 clone3({flags=CLONE_VM|CLONE_THREAD, stack=0x3} => {tid=[103]}) = 103 <0.000040>
103 1000.006100 sendto(0x7, 0xbeef, 0x5, 0, NULL, 0) = 0x5 <0.000100>
103 1000.007000 +++ exited with 0 +++
102 1000.008000 read(0x7, 0xbeef, 0x10 <unfinished ...>
102 1000.009000 +++ exited with 0 +++
100 1000.009500 +++ exited with 0 +++
"""
T = 1000 * 10**9  # when its first second begins
EVENTS = [
    Event(
        What.REQUEST, T + MS, 100, (1,), "read", 0, 7, "socket to port 9", 0xBEEF, 16, "callback"
    ),
    Event(What.SUBMISSION, T + MS, 100, (1,), "aio_read", until=T + MS + 300_000),
    Event(What.CALLBACK, T + 6 * MS, 103, (1,), "Server.handler"),
    Event(What.RETURNED, T + 6_800_000, 103, (1,)),
]
AGAIN = [
    Event(What.REQUEST, T + 7_900_000, 100, (2,), "read", 0, 7, "socket to port 9", 0xBEEF, 16),
    Event(What.SUBMISSION, T + 7_900_000, 100, (2,), "aio_read", until=T + 8 * MS),
]


def drawn(events: list[Event] = EVENTS) -> Timeline:
    return timeline(events, strace.parse(STRACE), "server.py 5000")


def boxes(line: Timeline, kind: Kind) -> list[Box]:
    return [box for box in line.boxes if box.kind is kind]


# What strace wrote.


def test_threads_are_those_of_the_first_process_with_their_parents() -> None:
    threads = strace.parse(STRACE)
    assert {tid: thread.parent for tid, thread in threads.items()} == {
        100: None,
        101: 100,
        102: 100,
        103: 102,
    }


def test_a_call_that_was_interrupted_in_the_file_is_one_call() -> None:
    first, then, last = strace.parse(STRACE)[102].calls
    assert (first.name, first.arguments, first.error) == ("pread64", (7, 0xBEEF, 16, 0), "ESPIPE")
    assert (then.name, then.arguments, then.result, then.error) == ("read", (7, 0xBEEF, 16), 5, "")
    assert (then.begin - T, then.end) == (1_300_000, T + 5 * MS)
    assert last.end is None


def test_a_line_that_is_not_understood_is_passed_over() -> None:
    assert strace.parse(
        "strace: Process 5 attached\n\n5 1.000000 read(garbage\n5 1.000001 +++ exited\n"
    ).keys() == {5}


# What happened.


def test_a_request_is_queued_then_in_io_then_notified_then_in_its_callback() -> None:
    line = drawn()
    spans = {
        box.kind: ((box.begin - T) // 1000, (box.end - T) // 1000, box.tid)
        for box in line.boxes
        if box.kind is not Kind.CALL
    }
    assert spans == {
        Kind.SUBMIT: (1000, 1300, 100),
        Kind.QUEUE: (1000, 1250, QUEUE),
        Kind.IO: (1250, 5000, 102),
        Kind.NOTIFY: (5100, 6000, 103),
        Kind.CALLBACK: (6000, 6800, 103),
    }
    assert {box.of for box in line.boxes if box.kind is not Kind.CALL} == {(1,)}


def test_each_thread_has_a_lane_and_a_name_and_what_did_nothing_has_none() -> None:
    lanes = {lane.tid: (lane.group, lane.name) for lane in drawn().lanes}
    assert lanes == {
        100: (Group.PROGRAM, "main thread"),
        QUEUE: (Group.QUEUE, "queued"),
        102: (Group.HELPER, "helper 1"),
        103: (Group.NOTIFICATION, "notification thread 1"),
    }


def test_arrows_say_who_started_whom() -> None:
    arrows = [(arrow.what, arrow.source, arrow.target) for arrow in drawn().arrows]
    assert Counter(arrows) == Counter(
        [
            ("submits", 100, QUEUE),
            ("starts", 100, 102),
            ("is taken", QUEUE, 102),
            ("notifies", 102, 103),
        ]
    )


def test_what_a_callback_calls_is_inside_it() -> None:
    (call,) = boxes(drawn(), Kind.CALL)
    assert (call.tid, call.label, call.detail) == (103, "sendto", "sendto of fd 7 = 5")


def test_a_buffer_that_is_read_into_again_has_two_requests() -> None:
    first, second = boxes(drawn([*EVENTS, *AGAIN]), Kind.IO)
    assert (first.of, first.open, second.of, second.open) == ((1,), False, (2,), True)


def test_what_never_ended_lasts_to_the_end() -> None:
    line = drawn([*EVENTS, *AGAIN])
    assert boxes(line, Kind.IO)[-1].end == line.end == T + 9_500_000


def test_after_the_last_request_nothing_is_drawn() -> None:
    line = drawn()
    assert line.end == T + 6_800_000
    assert max(lane.end for lane in line.lanes) == line.end


def test_a_request_that_nobody_took_is_queued_until_it_is_told_of() -> None:
    without = "\n".join(
        one for one in STRACE.splitlines() if not one.startswith("102") or "clone" in one
    )
    (box,) = boxes(timeline(EVENTS, strace.parse(without), ""), Kind.QUEUE)
    assert (box.end - T) // 1000 == 6000


def test_without_strace_a_request_is_in_flight_until_its_callback() -> None:
    line = timeline(EVENTS, None, "", main=100)
    (box,) = boxes(line, Kind.FLIGHT)
    assert ((box.begin - T) // MS, (box.end - T) // MS) == (1, 6)
    assert {lane.group for lane in line.lanes} == {Group.PROGRAM, Group.QUEUE, Group.NOTIFICATION}


def test_no_request_is_an_error() -> None:
    with pytest.raises(ValueError, match="no request"):
        timeline([], None)


# Time and place.


def test_a_long_gap_is_broken_and_says_so() -> None:
    scale = Scale(0, 1000 * MS, [0, 10 * MS, 20 * MS, 990 * MS, 1000 * MS], left=100, width=1000)
    (gap,) = scale.breaks
    assert (gap.begin > 20 * MS, gap.end < 990 * MS, scale.x(0), round(scale.x(1000 * MS))) == (
        True,
        True,
        100,
        1100,
    )
    places = [scale.x(moment * MS) for moment in range(1001)]
    assert places == sorted(places)
    assert scale.x(20 * MS) - scale.x(10 * MS) > 200


def test_several_long_gaps_of_one_length_are_all_broken() -> None:
    moments = [second * 1000 * MS + n * MS for second in range(5) for n in range(10)]
    scale = Scale(0, moments[-1], moments, left=0, width=1000)
    assert [one.begin // (1000 * MS) for one in scale.breaks] == [0, 1, 2, 3]
    assert scale.x(5 * MS) - scale.x(0) > 50


def test_without_a_long_gap_time_is_linear() -> None:
    scale = Scale(0, 100, range(0, 101, 10), left=0, width=50)
    assert (scale.breaks, [scale.x(moment) for moment in (0, 50, 100)]) == ([], [0, 25, 50])


@pytest.mark.parametrize("end", [1, 999, 10**6, 3 * 10**9])
def test_marks_are_apart_and_at_round_moments(end: int) -> None:
    scale = Scale(5, 5 + end, [5 + end * n // 10 for n in range(11)], left=0, width=800)
    step, ticks = scale.ticks(apart=60)
    assert ticks[0] == 5
    assert all((tick - 5) % step == 0 for tick in ticks)
    assert all(scale.x(b) - scale.x(a) >= 42 for a, b in itertools.pairwise(ticks))


def test_durations_are_in_the_unit_that_people_would_use() -> None:
    assert [duration(ns) for ns in (0, 950, 1500, 12_000_000, 1_300_000, 20 * 10**9)] == [
        "0 ns", "950 ns", "1.5 µs", "12 ms", "1.3 ms", "20 s"
    ]  # fmt: skip


def many(count: int) -> Timeline:
    """Requests one after another, each with a notification thread of its own."""
    lanes, found = [Lane(1, Group.PROGRAM, "main thread", 0, count * 100)], []
    for n in range(count):
        tid = 10 + n
        lanes.append(
            Lane(tid, Group.NOTIFICATION, f"notification thread {n + 1}", n * 100, n * 100 + 50)
        )
        found.append(Box(tid, Kind.CALLBACK, n * 100, n * 100 + 50, "handler", (n,)))
    return Timeline(0, count * 100, tuple(lanes), tuple(found), (), {}, True, "many")


def test_short_lived_threads_share_a_row() -> None:
    placed = rows(many(50), lambda moment: moment)
    assert [(row.group, row.name, len(row.lanes)) for row in placed.rows] == [
        (Group.PROGRAM, "main thread", 1), (Group.NOTIFICATION, "50 notification threads", 50)
    ]  # fmt: skip


def test_threads_that_live_at_the_same_time_never_share_a_row() -> None:
    placed = rows(many(50), lambda moment: moment / 100)  # too close for the eye: the gap is 8
    for row in placed.rows:
        assert all(before.end < after.begin for before, after in itertools.pairwise(row.lanes))
    notifying = [row for row in placed.rows if row.group is Group.NOTIFICATION]
    assert 1 < len(notifying) <= MOST


def test_more_rows_than_a_picture_has_are_counted() -> None:
    placed = rows(many(400), lambda moment: moment / 1000)
    assert sum(row.group is Group.NOTIFICATION for row in placed.rows) == MOST
    assert re.fullmatch(r"\.\.\. and \d+ more rows", placed.rows[-1].name)


def long(count: int) -> Timeline:
    line = many(count)
    queued = tuple(
        Box(QUEUE, Kind.QUEUE, n * 100, n * 100 + 20, "fd 3", (n,)) for n in range(count)
    )
    return replace(line, boxes=queued + line.boxes)


def test_of_many_requests_a_picture_has_the_first_and_says_how_many_there_were() -> None:
    line = clip(long(1000), most=40)
    assert (line.end, line.left_out, len(line.lanes)) == (4000, 960, 41)
    assert {box.of for box in line.boxes} == {(n,) for n in range(40)}
    assert re.search(r"the first (\d+) of 1,000 requests", svg(long(1000)))
    assert "the first" not in svg(long(30))


def test_a_single_list_of_many_is_shown_whole() -> None:
    boxes = tuple(Box(QUEUE, Kind.QUEUE, 0, n + 1, "fd 3", (n,)) for n in range(500))
    line = replace(many(1), boxes=boxes)
    assert clip(line, most=40) == line


def test_what_goes_on_after_the_end_of_the_picture_is_open() -> None:
    held = Box(1, Kind.IO, 50, 99_000, "read fd 0", (0,))
    line = clip(replace(long(1000), boxes=(*long(1000).boxes, held)), most=40)
    assert [(box.end, box.open) for box in line.boxes if box.kind is Kind.IO] == [(4000, True)]


# What is made of it.


def test_the_svg_is_well_formed_and_every_box_says_what_it_is() -> None:
    line = drawn([*EVENTS, *AGAIN])
    root = ElementTree.fromstring(svg(line))
    space = "{http://www.w3.org/2000/svg}"
    titles = [
        title.text for group in root.iter(f"{space}g") for title in group.iter(f"{space}title")
    ]
    assert len([one for one in root.iter(f"{space}g") if one.get("class") == "box"]) == len(
        line.boxes
    )
    assert any(title and "pread64 ESPIPE, read 5" in title for title in titles)
    words = [text.text for text in root.iter(f"{space}text")]
    assert {
        "server.py 5000",
        "main thread",
        "helper 1",
        "notification thread 1",
        "time, in ms",
    } <= set(words)


def test_no_text_of_the_svg_leaves_the_picture_or_its_box() -> None:
    root = ElementTree.fromstring(svg(drawn([*EVENTS, *AGAIN])))
    width = float(root.get("viewBox", "").split()[2])
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        box = group.find("{http://www.w3.org/2000/svg}rect")
        for words in group.findall("{http://www.w3.org/2000/svg}text"):
            if box is not None and "error" not in words.get("class", ""):
                right = float(box.get("x", 0)) + float(box.get("width", 0))
                assert float(words.get("x", 0)) + 6 * len(words.text or "") <= right <= width


def test_names_with_markup_do_no_harm() -> None:
    evil = [
        Event(e.what, e.at, e.tid, e.of, "<b>&", e.until, e.fd, "</svg>", e.address, e.nbytes)
        for e in EVENTS
    ]
    ElementTree.fromstring(svg(timeline(evil, strace.parse(STRACE), "<script>")))
    page = html(timeline(evil, strace.parse(STRACE), "<script>alert {{DATA}}"))
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert {{DATA}}" in page


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = html(drawn())
    assert re.findall(r"(?:src|href)\s*=|url\((?!#)|@import|https?:|fetch\(|import\(", page) == []


def test_a_request_flies_from_its_submission_to_the_end_of_its_callback() -> None:
    line = drawn([*EVENTS, *AGAIN])
    first, second = line.flights
    assert (first.serial, first.fd, first.helper, first.owner) == (1, 7, 102, "callback")
    assert first.asked == (T + MS, T + MS + 300_000)
    assert first.began is not None
    assert first.ended is not None
    assert first.notified is not None
    assert first.began < first.ended < first.notified
    assert (first.told, first.over) == (T + 6 * MS, T + 6_800_000)
    assert (second.began, second.ended) == (T + 8 * MS, None)
    assert line.lives[102].death == T + 9 * MS


def test_a_refused_request_does_not_fly_and_a_cancelled_one_ends_with_that() -> None:
    kept, refused = replace(AGAIN[0], of=(3,), fd=8), replace(AGAIN[0], of=(4,), fd=9)
    events = [
        *EVENTS,
        kept,
        replace(AGAIN[1], of=(3,)),
        refused,
        replace(AGAIN[1], of=(4,), error="EAGAIN"),
        Event(What.CANCEL, T + 9 * MS, 100, (3,), until=T + 9 * MS, fd=8),
        Event(What.POOL, T, 100, (), nbytes=7),
    ]
    line = drawn(events)
    assert [(one.serial, one.cancelled) for one in line.flights] == [(1, None), (3, T + 9 * MS)]
    assert (line.aio_threads, line.begin) == (7, T + MS)


def test_cancelling_a_descriptor_ends_what_no_helper_had_taken() -> None:
    more = [replace(AGAIN[0], of=(3,)), replace(AGAIN[1], of=(3,))]
    all_of_it = Event(What.CANCEL, T + 9 * MS, 100, (), until=T + 9 * MS, fd=7, nbytes=1)
    line = drawn([*EVENTS, *AGAIN, *more, all_of_it])
    assert [one.cancelled for one in line.flights] == [None, None, T + 9 * MS]


def test_a_full_recording_says_so_everywhere() -> None:
    line = drawn([*EVENTS, Event(What.FULL, T + 7 * MS, 100, ())])
    assert "the recording is full: nothing after the first 6 ms is in it" in text(line)
    assert "The recording is full: nothing after the first 6 ms is in it." in html(line)


def test_the_table_has_a_line_for_each_request() -> None:
    lines = text(drawn([*EVENTS, *AGAIN])).splitlines()
    assert lines[0].split() == [
        "at",
        "request",
        "queued",
        "I/O",
        "notification",
        "callback",
        "file",
    ]
    assert (
        re.sub(" +", " ", lines[1]).strip()
        == "0 ns read fd 7 250 µs 3.8 ms 900 µs 800 µs socket to port 9"
    )
    assert lines[2].split()[:5] == ["6.9", "ms", "read", "fd", "7"]
    assert len(lines) == 4


# The Trace Event Format: what ui.perfetto.dev needs, after its description by Google.


def events_of(line: Timeline) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(perfetto(line))["traceEvents"]
    return found


def test_every_trace_event_has_the_fields_of_its_phase() -> None:
    needed = {
        "M": {"name", "args"},
        "X": {"name", "cat", "ts", "dur"},
        "b": {"name", "cat", "ts", "id"},
        "e": {"name", "cat", "ts", "id"},
        "s": {"name", "cat", "ts", "id"},
        "f": {"name", "cat", "ts", "id", "bp"},
    }
    found = events_of(drawn([*EVENTS, *AGAIN]))
    assert {one["ph"] for one in found} == needed.keys()
    for one in found:
        assert needed[one["ph"]] | {"pid", "tid"} <= one.keys()
        assert all(isinstance(one[name], int) for name in ("pid", "tid"))
        assert all(one.get(name, 0) >= 0 for name in ("ts", "dur"))


def test_every_thread_of_the_trace_has_its_name() -> None:
    found = events_of(drawn())
    named = {one["tid"]: one["args"]["name"] for one in found if one["name"] == "thread_name"}
    assert named == {100: "main thread", 102: "helper 1", 103: "notification thread 1"}
    assert {one["tid"] for one in found} <= named.keys()


def test_slices_of_a_thread_nest() -> None:
    slices: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for one in events_of(drawn([*EVENTS, *AGAIN])):
        if one["ph"] == "X":
            slices[one["tid"]].append((one["ts"], one["ts"] + one["dur"]))
    for spans in slices.values():
        for a, b in spans:
            assert all(
                d <= a or b <= c or (a <= c and d <= b) or (c <= a and b <= d) for c, d in spans
            )


def test_a_call_that_sticks_out_of_its_callback_is_cut() -> None:
    callback, call = Box(1, Kind.CALLBACK, 0, 10, "f"), Box(1, Kind.CALL, 5, 12, "write")
    assert [box.end for box in nested([call, callback])] == [10, 10]


def test_each_flow_leaves_one_slice_and_arrives_at_another() -> None:
    found = events_of(drawn())
    slices = [one for one in found if one["ph"] == "X"]
    for phase in "sf":
        for flow in [one for one in found if one["ph"] == phase]:
            inside = [
                s
                for s in slices
                if s["tid"] == flow["tid"] and s["ts"] <= flow["ts"] <= s["ts"] + s["dur"]
            ]
            assert inside, flow
    assert Counter(one["id"] for one in found if one["ph"] == "s") == Counter(
        one["id"] for one in found if one["ph"] == "f"
    )
    assert sum(one["ph"] == "b" for one in found) == sum(one["ph"] == "e" for one in found) == 1
