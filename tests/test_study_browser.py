"""The pages of a trace and of the model in a real browser, with mouse, keys and fingers.

They need Chromium and playwright (`pip install playwright`). Without one of them they are skipped,
as in CI.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deadline import eventually

from aio_posix.study.compare import compare
from aio_posix.study.notation import parse
from aio_posix.study.play import Server
from aio_posix.study.plays import PLAYS
from aio_posix.study.trace import Event, Timeline, strace, timeline
from aio_posix.study.trace.event import What
from aio_posix.study.trace.html import html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, from PyPI")
if not CHROMIUM:
    pytest.skip("needs Chromium", allow_module_level=True)

DESK = {"viewport": {"width": 1200, "height": 700}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
REQUESTS = 30
US = 1000  # nanoseconds
BEGIN = 1000 * 10**9


def recording(count: int) -> Timeline:
    """A read each millisecond, of a file of its own; two helpers in turn, and a callback for each.

    Read n of descriptor 10 + n is submitted at n ms, done from n.2 to n.8, and in its callback from
    n.9 to n.95. The function of every tenth is `Server.tenth`, of the others `Server.handler`.
    """
    events = []
    calls = ["100 999.999000 clone3({flags=CLONE_VM|CLONE_THREAD} => {tid=[101]}) = 101 <0.000050>"]
    calls += [
        "100 999.999100 clone3({flags=CLONE_VM|CLONE_THREAD} => {tid=[102]}) = 102 <0.000050>"
    ]
    for n in range(count):
        at, fd, helper, thread = BEGIN + n * 1000 * US, 10 + n, 101 + n % 2, 1000 + n
        of = (n + 1,)
        name = "Server.tenth" if n % 10 == 9 else "Server.handler"
        request = Event(What.REQUEST, at, 100, of, "read", 0, fd, "", 0x1000 + n, 16, "callback")
        submission = Event(What.SUBMISSION, at, 100, of, "aio_read", until=at + 50 * US)
        begun = Event(What.CALLBACK, at + 900 * US, thread, of, name)
        events += [request, submission, begun, Event(What.RETURNED, at + 950 * US, thread, of)]
        second, micro = divmod(1000 * 10**6 + n * 1000, 10**6)
        where = f"0x{fd:x}, 0x{0x1000 + n:x}, 0x10, 0"
        calls += [
            f"{helper} {second}.{micro + 200:06} pread64({where}) = 0x10 <0.000600>",
            f"{helper} {second}.{micro + 820:06} clone3({{flags=CLONE_VM|CLONE_THREAD}} => "
            f"{{tid=[{thread}]}}) = {thread} <0.000020>",
            f"{thread} {second}.{micro + 970:06} +++ exited with 0 +++",
        ]
    return timeline(events, strace.parse("\n".join([*calls, ""])), "program.py")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "trace.html"
    path.write_text(html(recording(REQUESTS)), encoding="utf-8")
    return f"file://{path}"


Open = Callable[..., Any]


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """Opens pages; what a script of them complained of fails the test."""
    contexts, complaints = [], []

    def visit(where: str, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(where)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


def frames(page: Any) -> None:
    """Until what was asked for has been drawn."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def moment(page: Any) -> tuple[int, int]:
    frames(page)
    found = re.search(r"moment (\d+) of (\d+)", page.inner_text("#moment"))
    assert found
    return int(found[1]), int(found[2])


def corner(page: Any) -> tuple[float, float]:
    box = page.locator("#lanes").bounding_box()
    return box["x"], box["y"]


def view(page: Any) -> tuple[float, float]:
    left, right = page.evaluate("[left, right]")
    return left, right


def point(page: Any, fd: int, kind: str) -> tuple[float, float]:
    """The middle of a request's box, on the screen."""
    of, x0, y0 = fd - 9, *corner(page)
    x, y = page.evaluate(
        """([of, kind]) => { for (const row of rows) for (const box of row.boxes)
             if (box[0] === kind && box[4].includes(of))
               return [x((box[1] + box[2]) / 2), row.y + row.high / 2]; }""",
        [of, kind],
    )
    return x0 + x, y0 + y


# Moments.


def test_the_scrubber_follows_the_mouse(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    x0, y0 = corner(page)
    page.mouse.move(x0 + 200, y0 + 30)
    page.mouse.down()
    first, of = moment(page)
    page.mouse.move(x0 + 1100, y0 + 300, steps=5)
    second, _ = moment(page)
    page.mouse.up()
    page.mouse.move(x0 + 300, y0 + 30)
    assert 1 <= first < of / 4
    assert of * 3 / 4 < second == moment(page)[0]
    assert view(page) == (0, page.evaluate("DATA.end"))


def test_arrow_keys_go_from_moment_to_moment(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    _, of = moment(page)
    seen = []
    for key in ("Home", "ArrowRight", "Shift+ArrowRight", "ArrowLeft", "End", "ArrowRight"):
        page.keyboard.press(key)
        seen.append(moment(page)[0])
    assert seen == [1, 2, 12, 11, of, of]


def test_keys_that_are_typed_into_the_search_do_not_move(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    page.click("#search")
    page.keyboard.type("fd 1 0+")
    page.keyboard.press("ArrowLeft")
    assert moment(page)[0] == 1
    assert view(page) == (0, page.evaluate("DATA.end"))


@pytest.mark.parametrize("speed", ["25 moments a second", "1/100 of real time"])
def test_it_plays_at_a_chosen_speed_to_its_end(visit: Open, address: str, speed: str) -> None:
    page = visit(address, **DESK)
    page.select_option("#speed", label=speed)
    page.click("#play")
    assert page.inner_text("#play") == "❚❚"
    assert eventually(lambda: moment(page)[0] == moment(page)[1], 30)
    assert page.inner_text("#play") == "▶"


def test_playing_is_paused_by_the_space_bar(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    page.keyboard.press(" ")
    assert eventually(lambda: moment(page)[0] > 1)
    page.keyboard.press(" ")
    assert page.evaluate("playing") is False


def test_playing_follows_the_moment_out_of_the_view(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    for _ in range(4):
        page.keyboard.press("+")
    page.keyboard.press("End")
    frames(page)
    left, right = view(page)
    assert left <= page.evaluate("moments[at][0]") <= right


# The time line.


def test_scrubbing_draws_no_lane_again(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    frames(page)
    page.evaluate(
        """() => { window.strokes = 0; const pen = CanvasRenderingContext2D.prototype;
        for (const name of ["clearRect", "drawImage", "fillRect", "stroke"]) {
          const real = pen[name];
          pen[name] = function (...all) { strokes++; return real.apply(this, all); } } }"""
    )
    x0, y0 = corner(page)
    page.mouse.move(x0 + 200, y0 + 30)
    page.mouse.down()
    first, _ = moment(page)
    for x in (400, 700, 1000):
        page.mouse.move(x0 + x, y0 + 30)
        frames(page)
    assert moment(page)[0] > first
    assert page.evaluate("strokes") == 0
    page.keyboard.press("+")
    frames(page)
    assert page.evaluate("strokes") > 0


def test_the_scrubber_stands_at_its_moment_or_is_out_of_sight(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    page.evaluate("go(momentAt(DATA.end / 2))")
    frames(page)
    box = page.locator("#scrubber").bounding_box()
    middle = box["x"] + box["width"] / 2 - corner(page)[0]
    assert middle == pytest.approx(page.evaluate("x(moments[at][0])"), abs=0.6)
    page.evaluate("view(0, DATA.end / 8)")
    frames(page)
    assert page.locator("#scrubber").is_hidden()


def test_only_time_is_zoomed(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    still = """() => { const box = one => { const r = by(one).getBoundingClientRect();
      return [r.x, r.y, r.width, r.height]; };
      const names = canvas.getContext("2d").getImageData(0, 60, gutter - 4, canvas.height - 60);
      let hash = 0;
      for (const one of names.data) hash = (hash * 31 + one) | 0;
      return [box("lanes"), box("legend"), rows.map(row => [row.y, row.high]), gutter, pen.font,
              hash]; }"""
    frames(page)
    before = page.evaluate(still)
    whole = view(page)
    for _ in range(3):
        page.click("#closer")
    frames(page)
    assert page.evaluate(still) == before
    left, right = view(page)
    assert (right - left) * 8 == pytest.approx(whole[1])
    page.click("#all")
    assert view(page) == whole


def test_zooming_in_shows_words_that_had_no_room(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    page.evaluate(
        """() => { window.drawn = []; const fill = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText =
          function (words, ...rest) {
            drawn.push(words); return fill.call(this, words, ...rest); } }"""
    )
    page.click("#all")
    page.evaluate("pin(0), lanesAre = '', soon()")
    frames(page)
    assert "read fd 10" not in page.evaluate("drawn")
    page.evaluate("view(0, DATA.end / 30)")
    frames(page)
    assert "read fd 10" in page.evaluate("drawn")


def test_the_wheel_scrolls_the_page_and_with_ctrl_zooms(visit: Open, address: str) -> None:
    page = visit(address, viewport={"width": 1200, "height": 520})
    whole, (x0, y0) = view(page), corner(page)
    page.mouse.move(x0 + 600, y0 + 60)
    page.mouse.wheel(0, 100)
    assert eventually(lambda: page.evaluate("scrollY") > 0)
    assert view(page) == whole
    scrolled, (x0, y0) = page.evaluate("scrollY"), corner(page)
    page.mouse.move(x0 + 600, y0 + 100)
    under = page.evaluate("timeAt(600)")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    assert eventually(lambda: view(page)[1] - view(page)[0] < whole[1] * 0.7)
    assert page.evaluate("timeAt(600)") == pytest.approx(under)
    assert page.evaluate("scrollY") == scrolled
    assert page.evaluate("visualViewport.scale") == 1


def test_the_wheel_with_shift_moves_in_time(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    page.evaluate("view(0, DATA.end / 4)")
    x0, y0 = corner(page)
    page.mouse.move(x0 + 600, y0 + 60)
    page.keyboard.down("Shift")
    page.mouse.wheel(0, 200)
    page.keyboard.up("Shift")
    assert eventually(lambda: view(page)[0] > 0)
    assert page.evaluate("scrollY") == 0


def test_dragging_the_lanes_moves_in_time(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    page.evaluate("view(DATA.end / 2, DATA.end / 4)")
    (left, right), (x0, y0) = view(page), corner(page)
    before = moment(page)
    page.mouse.move(x0 + 600, y0 + 100)
    page.mouse.down()
    page.mouse.move(x0 + 300, y0 + 100, steps=4)
    page.mouse.up()
    frames(page)
    assert view(page)[0] > left
    assert view(page)[1] - view(page)[0] == pytest.approx(right - left)
    assert moment(page) == before


# Requests.


def test_a_click_pins_a_request_and_shows_its_table(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    page.mouse.click(*point(page, 17, "I/O"))
    frames(page)
    assert page.inner_text("#pinned h2").startswith("read fd 17")
    table = page.locator("#pinned tr").all_inner_texts()[1:]
    phases = [line.split("\t")[0] for line in table]
    assert phases == ["submission", "queued", "I/O", "notification", "callback"]
    takes = {line.split("\t")[0]: line.split("\t")[2] for line in table}
    assert (takes["I/O"], takes["callback"]) == ("600 µs", "50 µs")
    page.keyboard.press("Escape")
    frames(page)
    assert page.inner_text("#pinned") == ""


def test_a_request_is_pinned_by_its_box_of_the_moment(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    page.evaluate("go(moments.findIndex(one => one[1].includes('takes read fd 10')))")
    frames(page)
    page.locator("#panels .queue .box").first.click()
    frames(page)
    assert page.inner_text("#pinned h2").startswith("read fd 10")
    page.click("#unpin")
    assert page.inner_text("#pinned") == ""


def test_many_idle_helpers_share_a_line(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    shown = """idle => { by("panels").innerHTML = panels(
      { ...nothing(), helpers: new Map([...Array(idle)].map((_, n) => [n, { of: 0 }])) },
      new Set(), nameOf, { threads: 9, files, helperNames: new Map(), pinned: 0 });
      return by("panels").querySelector("div").innerText; }"""
    assert page.evaluate(shown, 2).count(" is idle") == 2
    assert "6 idle" in page.evaluate(shown, 6)
    assert page.evaluate(shown, 6).count(" is idle") == 0


def test_the_mouse_over_a_box_says_how_long_it_took(visit: Open, address: str) -> None:
    page = visit(address, **DESK)
    page.mouse.move(*point(page, 12, "I/O"))
    assert page.get_attribute("#lanes", "title").startswith("read fd 12, 600 µs")


@pytest.mark.parametrize(
    ("words", "count"),
    [("fd 1", 0), ("fd 12", 1), ("helper 1", REQUESTS // 2), ("tenth", 3), ("no such", 0)],
)
def test_requests_are_found_by_descriptor_thread_and_function(
    visit: Open, address: str, words: str, count: int
) -> None:
    page = visit(address, **DESK)
    page.fill("#search", words)
    assert page.inner_text("#found") == f"{count} request{'s' * (count != 1)}"
    page.fill("#search", "")
    assert page.inner_text("#found") == ""


# Fingers.


class Fingers:
    """Touches of a page; playwright itself only taps."""

    def __init__(self, page: Any) -> None:
        self.session = page.context.new_cdp_session(page)

    def move(self, *path: tuple[tuple[float, float], ...]) -> None:
        """Down at the first place, along the others, and up; each has a point for every finger."""
        for number, place in enumerate(path):
            self._send("touchMove" if number else "touchStart", place)
        self._send("touchEnd", ())

    def _send(self, kind: str, place: tuple[tuple[float, float], ...]) -> None:
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(place)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_two_fingers_zoom_in_time_and_not_the_page(visit: Open, address: str) -> None:
    page = visit(address, **PHONE)
    whole, (x0, y0) = view(page), corner(page)
    x, y = x0 + 230, y0 + 150
    Fingers(page).move(*(((x - apart, y), (x + apart, y)) for apart in (20, 30, 45, 60, 80)))
    frames(page)
    left, right = view(page)
    assert 0 < left < right < whole[1]
    assert right - left == pytest.approx(whole[1] / 4, rel=0.1)
    assert page.evaluate("visualViewport.scale") == 1
    assert page.inner_text("#pinned") == ""


def test_a_finger_drags_the_scrubber(visit: Open, address: str) -> None:
    page = visit(address, **PHONE)
    x0, y0 = corner(page)
    Fingers(page).move(*(((x0 + x, y0 + 28),) for x in (120, 160, 220, 300, 350)))
    at, of = moment(page)
    assert of * 3 / 4 < at


def test_a_finger_moves_in_time_and_scrolls_the_page(visit: Open, address: str) -> None:
    page = visit(address, **PHONE)
    page.evaluate("view(DATA.end / 2, DATA.end / 4)")
    (left, _), (x0, y0) = view(page), corner(page)
    fingers = Fingers(page)
    fingers.move(*(((x0 + x, y0 + 150),) for x in (300, 280, 240, 200)))
    frames(page)
    assert view(page)[0] > left
    moved, before = view(page), page.evaluate("scrollY")
    fingers.move(*(((x0 + 200, y0 + 200 - up),) for up in (0, 20, 60, 120, 180)))
    assert eventually(lambda: page.evaluate("scrollY") > before)
    assert view(page) == moved


def test_a_tap_pins_a_request(visit: Open, address: str) -> None:
    page = visit(address, **PHONE)
    page.evaluate("view(0, DATA.end / 10)")
    frames(page)
    page.touchscreen.tap(*point(page, 11, "I/O"))
    frames(page)
    assert page.inner_text("#pinned h2").startswith("read fd 11")


# Looks.


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_light_and_dark(visit: Open, address: str, scheme: str) -> None:
    """The contrast that WCAG asks of small letters."""
    page = visit(address, **DESK, color_scheme=scheme)
    pairs = page.evaluate(
        """() => { const rgb = text => { const pen = new OffscreenCanvas(1, 1).getContext("2d");
          pen.fillStyle = text; pen.fillRect(0, 0, 1, 1);
          return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3); };
        const style = getComputedStyle(document.documentElement);
        const named = name => rgb(style.getPropertyValue(`--${name}`));
        const boxes = Object.keys(DATA.legend).filter(kind => kind !== "system call").map(kind =>
          [kind, rgb(colours[kind]), rgb(DARK.has(kind) ? colours.dark : colours.box)]);
        const words = [["panel", "ink"], ["panel", "dim"], ["inner", "ink"], ["inner", "dim"],
          ["panel", "wrong"], ["page", "ink"], ["run", "ink"], ["head", "ink"], ["tail", "ink"],
          ["owed", "ink"]];
        return [...boxes, ...words.map(([a, b]) => [`${b} on ${a}`, named(a), named(b)])]; }"""
    )

    def luminance(colour: list[int]) -> float:
        parts = [c / 255 for c in colour]
        red, green, blue = (
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    faint = {}
    for name, *both in pairs:
        dark, light = sorted(map(luminance, both))
        if (contrast := (light + 0.05) / (dark + 0.05)) < 4.5:
            faint[name] = round(contrast, 1)
    assert faint == {}


def test_light_and_dark_change_while_the_page_is_open(visit: Open, address: str) -> None:
    page = visit(address, **DESK, color_scheme="light")
    frames(page)
    seen = set()
    for scheme in ("light", "dark"):  # a page draws on a canvas, which follows no style
        page.emulate_media(color_scheme=scheme)
        frames(page)
        seen.add(page.evaluate("colours.ink + getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2


@pytest.mark.parametrize("width", [320, 390, 760, 1200])
def test_nothing_is_wider_than_the_screen(visit: Open, address: str, width: int) -> None:
    page = visit(address, viewport={"width": width, "height": 800})
    page.evaluate("pin(3)")
    frames(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("gutter") < width / 2


def test_the_moment_stays_in_view_beside_high_lanes(visit: Open, address: str) -> None:
    page = visit(address, viewport={"width": 1200, "height": 520})
    box = page.locator("#moment").bounding_box()
    assert box["y"] + box["height"] <= 520


def test_a_page_of_reads_from_the_page_cache_alone_works(visit: Open, tmp_path: Path) -> None:
    cached = Event(What.CACHED, BEGIN, 100, (1,), "read", BEGIN + US, 5, "", 0, 16)
    path = tmp_path / "cached.html"
    path.write_text(html(timeline([cached], {}, "cached.py")), encoding="utf-8")
    page = visit(f"file://{path}", **DESK)
    for key in ("ArrowRight", " ", "End", "Home"):
        page.keyboard.press(key)
    frames(page)
    assert page.inner_text("#moment") == ""
    assert page.inner_text("#play") == "▶"


# The model.


@pytest.fixture
def model() -> Iterator[str]:
    with Server("read A 5\n") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.address
        server.shutdown()
        thread.join()


def test_calls_are_clicked_and_a_step_is_chosen(visit: Open, model: str) -> None:
    page = visit(model, **DESK)
    page.click("#submit")
    page.click("#feed")
    assert page.input_value("#script") == "read A 5\nread B 5\nfeed 5\n"
    page.click("text=helper 1 completes A")
    assert eventually(lambda: "helper 1: B" in page.inner_text("#panels"))
    page.click("#undo")
    assert eventually(lambda: page.locator("#moves button").count() > 0)
    page.keyboard.press("Home")


def test_a_wrong_line_is_named_while_it_is_typed(visit: Open, model: str) -> None:
    page = visit(model, **DESK)
    page.fill("#script", "read A 5\ndance\n")
    assert eventually(lambda: page.inner_text("#error").startswith("line 2: "))
    page.fill("#script", "read A 5\n")
    assert eventually(lambda: page.inner_text("#error") == "")


def test_a_page_whose_server_has_ended_says_so(visit: Open) -> None:
    with Server("read A 5\n") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        page = visit(server.address, **DESK)
        assert eventually(lambda: "moment 1 of " in page.inner_text("#moment"))
        server.shutdown()
        thread.join()
    page.click("#feed")
    assert eventually(lambda: page.inner_text("#error") == "`study play` has ended: start it again")


def test_the_script_of_every_lesson_is_ready(visit: Open, model: str) -> None:
    page = visit(model, **DESK)
    numbers = page.locator("#plays option").all_inner_texts()
    assert len(numbers) == 18
    for number in numbers:
        page.select_option("#plays", number)
        assert eventually(lambda: "moment 1 of " in page.inner_text("#moment"))
        assert page.inner_text("#error") == ""


@pytest.fixture
def checked() -> Iterator[str]:
    play = parse(PLAYS[6])
    with Server(PLAYS[6], compare(play)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.address
        server.shutdown()
        thread.join()


def test_the_real_glibc_stands_beside_the_model(visit: Open, checked: str) -> None:
    page = visit(checked, **DESK)
    assert eventually(lambda: page.locator("#both tbody tr").count() == 3)
    assert page.input_value("#plays") == "6"
    assert page.inner_text("#verdict") == "The model allows all that glibc did."
    cells = page.locator("#both tbody tr").first.locator("td").all_inner_texts()
    assert cells[1] == cells[2]
    assert "A B" in cells[1]
    page.locator("#both tbody tr").nth(1).click()
    assert page.locator("#both .here").count() == 1
    assert "feed 5" in page.inner_text("#both .here")
    page.fill("#script", "read A 5\n")
    assert eventually(lambda: "has changed" in page.inner_text("#verdict"))
    assert not page.is_visible("#both")


def test_what_glibc_did_otherwise_is_marked(visit: Open) -> None:
    found = compare(parse("read A 5\nfeed 5\nsettle\n"))
    other = found.bursts[0]._replace(model=replace(found.bursts[0].glibc, idle=7))
    with Server(
        "read A 5\nfeed 5\nsettle\n", found._replace(bursts=[other], agrees=False)
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        page = visit(server.address, **DESK)
        assert eventually(lambda: page.locator("#both .differs").count() == 2)
        assert page.inner_text("#verdict") == "glibc did what the model does not allow."
        page.close()
        server.shutdown()
        thread.join()


def test_without_check_the_page_says_nothing_of_glibc(visit: Open, model: str) -> None:
    page = visit(model, **DESK)
    assert eventually(lambda: "moment 1 of " in page.inner_text("#moment"))
    assert not page.is_visible("#checked")


def test_the_model_fits_a_phone(visit: Open, model: str) -> None:
    page = visit(model, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
