"""Every lesson holds, is short, and its transcript in docs/study is what it prints."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from aio_posix.study import course
from aio_posix.study.chart import dark
from aio_posix.study.guesses import QUESTIONS
from aio_posix.study.lesson import Failed, Lesson, _lesson, load
from aio_posix.study.model import Glibc
from aio_posix.study.parts import Op, Request
from aio_posix.study.transcripts import drift, named, see, seen_in, table, transcript, with_table

LESSONS = load()
DOCS = Path(__file__).parent.parent / "docs" / "study"
LONGEST = 110  # lines of code: what can be read aloud
WIDEST = 88  # columns of code


def by_name(lesson: Lesson) -> str:
    return lesson.stem


def preadv2_is_refused() -> bool:
    """Whether this system refuses preadv2, so that a thread has to read a pipe."""
    r, w = os.pipe()
    os.write(w, b"x")
    try:
        os.preadv(r, [bytearray(1)], -1, os.RWF_NOWAIT)
    except OSError:
        return True
    finally:
        os.close(r)
        os.close(w)
    return False


def written(lesson: Lesson) -> str:
    return (DOCS / f"{lesson.stem}.md").read_text()


@pytest.mark.parametrize("lesson", LESSONS, ids=by_name)
def test_a_lesson_holds_and_prints_what_its_transcript_says(lesson: Lesson) -> None:
    if lesson.missing:
        pytest.skip(course.needs(lesson))
    if lesson.stem == "16-awaited" and preadv2_is_refused():
        pytest.skip("preadv2 is refused here, and the lesson counts threads without it")
    assert drift(see(lesson)) == drift(seen_in(written(lesson))), (
        "python -m aio_posix.study.transcripts writes it anew"
    )


@pytest.mark.parametrize("lesson", LESSONS, ids=by_name)
def test_the_words_and_the_code_of_a_transcript_are_those_of_its_lesson(lesson: Lesson) -> None:
    text = written(lesson)
    anew = transcript(lesson, seen_in(text))
    assert text == anew, (
        "python -m aio_posix.study.transcripts --words writes them anew, and runs nothing"
    )


@pytest.mark.parametrize("lesson", LESSONS, ids=by_name)
def test_a_lesson_has_all_six_parts_and_its_code_is_short_and_narrow(lesson: Lesson) -> None:
    assert all((lesson.ask, lesson.guess, lesson.code, lesson.source, lesson.try_))
    assert len(lesson.code.splitlines()) < LONGEST
    assert max(map(len, f"{lesson.code}\n{lesson.c}".splitlines())) <= WIDEST
    assert "assert " in lesson.code


def test_numbers_are_those_of_the_files_and_none_comes_twice() -> None:
    assert [lesson.number for lesson in LESSONS] == sorted(
        {int(lesson.stem[:2]) for lesson in LESSONS}
    )


def test_every_transcript_has_its_lesson_and_its_row_in_the_table() -> None:
    assert {path.stem for path in DOCS.glob("[0-9]*.md")} == {lesson.stem for lesson in LESSONS}
    readme = (DOCS / "README.md").read_text()
    assert with_table(readme, LESSONS) == readme


@pytest.mark.parametrize("lesson", LESSONS, ids=by_name)
def test_a_lesson_names_its_place_in_glibc(lesson: Lesson) -> None:
    assert "`" in table([lesson]).splitlines()[-1].split("|")[-2]


def test_every_link_of_the_way_in_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (DOCS / "README.md").read_text())
    assert [link for link in links if not (DOCS / link).exists()] == []


def taught(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lesson:
    """A lesson whose run() prints "seen" and goes on with this line."""
    text = 'NUMBER = 99\nASK = GUESS = SOURCE = TRY = "?"\n'
    text += f'def run(show):\n    show("seen")\n    {code}\n'
    (tmp_path / "l99_taught.py").write_text(text)
    monkeypatch.setattr("aio_posix.study.lessons.__path__", [str(tmp_path)])
    there = f"import aio_posix.study.lessons as all; all.__path__[:] = [{str(tmp_path)!r}]"
    run = "import runpy; runpy.run_module('aio_posix.study.lesson', run_name='__main__')"
    monkeypatch.setattr("aio_posix.study.lesson.COMMAND", [sys.executable, "-c", f"{there}; {run}"])
    monkeypatch.delitem(sys.modules, "aio_posix.study.lessons.l99_taught", raising=False)
    (lesson,) = load()
    return lesson


def test_a_false_lesson_fails_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesson = taught("assert 1 == 2, 'arithmetic'", tmp_path, monkeypatch)
    seen = lesson.see()
    assert next(seen) == "seen"
    with pytest.raises(Failed, match="AssertionError: arithmetic"):
        next(seen)
    assert course.run_all([lesson]) == 1


def test_a_lesson_that_hangs_is_ended_with_its_children_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aio_posix.study.lesson.LIMIT", 0.5)
    with pytest.raises(Failed, match=r"did not end in 0\.5 s"):
        list(taught("import os, signal; os.fork(); signal.pause()", tmp_path, monkeypatch).see())


def test_optimised_python_still_checks_the_asserts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    assert list(LESSONS[0].see())


def test_a_measured_line_may_differ_in_its_numbers_and_in_nothing_else() -> None:
    assert drift("~ 12 reads in 0.5 s") == drift("~ 1,300 reads in  21 s")
    assert drift("~ 12 reads") != drift("~ 12 writes")
    assert drift("12 reads") != drift("13 reads")


def test_what_is_an_accident_of_the_run_is_named_in_order_of_appearance() -> None:
    text = "tid 900 reads fd 7, tid 17 fd 12, tid 900 again fd 7 = socket:[4711] at 0x7f00deadbeef"
    assert named(text) == "tid 1 reads fd A, tid 2 fd B, tid 1 again fd A = socket:[...] at 0x..."


def study(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aio_posix.study.course", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_study_lists_the_questions() -> None:
    listed = " ".join(study().stdout.split())
    assert all(f"{lesson.number} {lesson.ask}" in listed for lesson in LESSONS)


def test_study_of_a_lesson_prints_its_six_parts_in_order() -> None:
    words = re.findall(
        r"^(?:\d+\. )?([A-Z]{3,})$", study(str(LESSONS[0].number)).stdout, re.MULTILINE
    )
    assert words == ["ASK", "GUESS", "RUN", "SEE", "SOURCE", "TRY"]


def typed(*keys: str, arguments: tuple[str, ...]) -> str:
    """What `study` says to a reader at a terminal who types this."""
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "aio_posix.study.course", *arguments]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    said = b""
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment) as reader:
        os.close(its)
        left = list(keys)
        with suppress(OSError):  # the other side has gone
            while data := os.read(ours, 65536):
                said += data
                if left and said.endswith(b"Enter skips): "):
                    os.write(ours, left.pop(0).encode() + b"\n")
        reader.wait(timeout=60)
    os.close(ours)
    return said.decode().replace("\r\n", "\n")


def test_a_reader_guesses_first_and_learns_why_the_others_are_wrong() -> None:
    question = QUESTIONS[1]
    right = "abcd"[question.right]
    said = typed("x", right, arguments=("1",))
    assert "one of a, b, c, or Enter" in said
    words = " ".join(said.split())
    assert f"Right. {right}) {question.answers[question.right]}. {question.why}" in words
    assert words.index("your guess") < words.index("def run(show") < words.index("Right.")


def test_a_run_of_several_ends_with_the_score() -> None:
    wrong = "abcd"[(QUESTIONS[1].right + 1) % 2]
    said = typed(wrong, "abcd"[QUESTIONS[8].right], "", arguments=("1", "8", "5"))
    assert "guessed right: 1 of 2" in said
    assert "No: " in said


def test_who_does_not_want_to_guess_and_a_pipe_are_not_asked() -> None:
    assert "your guess" not in typed(arguments=("--no-guess", "1"))
    assert "your guess" not in study("1").stdout


@pytest.mark.parametrize("lesson", LESSONS, ids=by_name)
def test_every_lesson_has_answers_to_choose_from_and_a_script_to_play(lesson: Lesson) -> None:
    question = QUESTIONS[lesson.number]
    assert 2 <= len(question.answers) <= 4
    assert 0 <= question.right < len(question.answers)
    assert question.why.endswith(".")
    assert ". " not in question.why


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_retold_server_compiles_without_a_warning(tmp_path: Path) -> None:
    source = Path(course.__file__).parent / "c" / "echo_2016.c"
    command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2"]
    subprocess.run([*command, "-o", str(tmp_path / "server"), str(source)], check=True)


# study try N


def trial(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aio_posix", "study", "try", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(DOCS.parents[1])}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=directory, env=environment
    )


def test_a_lesson_to_try_is_a_file_that_runs_as_the_lesson_does(tmp_path: Path) -> None:
    ended = trial(tmp_path, "1", "--once")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "all its asserts hold" in ended.stdout
    source = Path(str(LESSONS[0].module.__file__)).read_text()
    assert (tmp_path / "l01_aio_error.py").read_text() == source


def test_what_was_changed_is_kept_and_the_assert_that_fails_is_named(tmp_path: Path) -> None:
    path = tmp_path / "l01_aio_error.py"
    trial(tmp_path, "1", "--once")
    path.write_text(path.read_text().replace("assert -1 not in seen", "assert -1 in seen"))
    ended = trial(tmp_path, "1", "--once")
    assert ended.returncode == 1
    assert re.search(r"line \d+ failed: assert -1 in seen\nAssertionError", ended.stdout)
    assert "a directory" in ended.stdout  # what was seen until then


def test_a_lesson_to_try_runs_again_when_it_is_saved(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aio_posix", "study", "try", "8"]
    environment = {**os.environ, "PYTHONPATH": str(DOCS.parents[1])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as running:
        try:
            assert running.stdout is not None
            lines = iter(running.stdout.readline, "")
            assert any(line.startswith("waiting until") for line in lines)
            path = tmp_path / "l08_priorities.py"
            path.write_text(path.read_text().replace('order == "W0 fsync W5"', 'order == "?"'))
            assert any('failed: assert order == "?"' in line for line in lines)
        finally:
            running.kill()


@pytest.mark.parametrize("which", ["0", "99", "-1", "six", "²"])
def test_study_of_no_lesson_is_one_line_on_stderr(which: str) -> None:
    done = study("--", which)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_lesson_that_needs_what_is_not_installed_says_so() -> None:
    module = type(sys)("aio_posix.study.lessons.l98_needy")
    module.NUMBER, module.NEEDS = 98, ("no_such_module",)  # type: ignore[attr-defined]
    lesson = _lesson(module)
    assert lesson.missing == ("no_such_module",)
    assert course.run_all([lesson]) == 0


@pytest.mark.parametrize("name", ["lists", "costs"])
def test_a_drawing_stands_beside_the_same_in_the_dark(name: str) -> None:
    light = (DOCS / f"{name}.svg").read_text()
    assert dark(light) != light
    assert (DOCS / f"{name}-dark.svg").read_text() == dark(light)


def test_the_lists_are_drawn_as_the_model_has_them() -> None:
    asked = {"A": 5, "B": 5, "C": 5, "D": 6, "E": 8, "F": 8, "G": 9, "H": 9}
    moment = Glibc(aio_threads=2, files=frozenset({8, 9}))
    for name, fd in asked.items():
        op = Op.WRITE if name in "CG" else Op.READ
        moment = moment.submit(Request(name, fd, op, aio_reqprio=5 if name == "G" else 0))
    taken = {
        f"helper {helper.number}: in read({helper.request.fd})"
        for helper in moment.helpers
        if helper.request
    }
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (DOCS / "lists.svg").read_text())
    assert taken == {word for word in words if word.startswith("helper ")}
    assert [request.name for request in moment.runlist] == [
        word for word in words if word in ("E", "G")
    ]
    drawn = [word.split()[1] for word in words if re.match(r"(read|write) [A-H]", word)]
    assert drawn == [request.name for queue in moment.requests for request in queue]
