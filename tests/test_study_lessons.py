"""Every lesson holds, is short, and its transcript in docs/study is what it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from aio_posix.study import course
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


def written(lesson: Lesson) -> str:
    return (DOCS / f"{lesson.stem}.md").read_text()


@pytest.mark.parametrize("lesson", LESSONS, ids=by_name)
def test_a_lesson_holds_and_prints_what_its_transcript_says(lesson: Lesson) -> None:
    if lesson.missing:
        pytest.skip(course.needs(lesson))
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


@pytest.mark.parametrize("which", ["0", "99", "-1", "six", "²"])
def test_study_of_no_lesson_is_one_line_on_stderr(which: str) -> None:
    done = study("--", which)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_a_lesson_that_needs_what_is_not_installed_says_so() -> None:
    module = type(sys)("aio_posix.study.lessons.l98_needy")
    module.NUMBER, module.NEEDS = 98, ("no_such_module",)  # type: ignore[attr-defined]
    lesson = _lesson(module)
    assert lesson.missing == ("no_such_module",)
    assert course.run_all([lesson]) == 0


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
