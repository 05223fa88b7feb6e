"""What `import aio_posix` and help(aio_posix) give."""

from __future__ import annotations

import asyncio
import doctest
import inspect
import signal
from pathlib import Path
from types import ModuleType

import fresh
import pytest

import aio_posix
from aio_posix import SIGEV_SIGNAL, SIGEV_THREAD, CompletionQueue, sigevent


def test_help_begins_with_a_list_that_names_everything_that_is_called() -> None:
    called = [name for name in aio_posix.__all__ if name.islower() and name != "siginfo"]
    assert [name for name in called if name not in (aio_posix.__doc__ or "")] == []


@pytest.mark.parametrize("package", [aio_posix, aio_posix.asyncio], ids=lambda one: one.__name__)
def test_the_example_in_help_prints_what_it_says(package: ModuleType) -> None:
    result = doctest.testmod(package)
    assert result.attempted
    assert not result.failed


def test_help_of_the_package_for_asyncio_names_everything_it_has() -> None:
    text = aio_posix.asyncio.__doc__ or ""
    assert [name for name in aio_posix.asyncio.__all__ if name not in text] == []


@pytest.mark.parametrize("package", [aio_posix, aio_posix.asyncio], ids=lambda one: one.__name__)
def test_every_public_name_has_a_docstring(package: ModuleType) -> None:
    assert [name for name in package.__all__ if not getattr(package, name).__doc__] == []


@pytest.mark.parametrize("kind", [aio_posix.asyncio.BinaryFile, aio_posix.asyncio.TextFile])
def test_every_public_method_of_an_awaited_file_has_a_docstring(kind: type) -> None:
    methods = [name for name in dir(kind) if not name.startswith("_")]
    assert [name for name in methods if not inspect.getdoc(getattr(kind, name))] == []


def test_the_package_for_asyncio_is_imported_when_it_is_first_used() -> None:
    program = """
        import sys
        import aio_posix
        from aio_posix import *
        print("asyncio" in sys.modules, "asyncio" in dir(aio_posix))
        print(aio_posix.asyncio.read.__module__.startswith("aio_posix.asyncio"))
    """
    assert fresh.output(program) == "False True\nTrue\n"


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="aio_raed"):
        aio_posix.aio_raed  # type: ignore[attr-defined]  # noqa: B018


def test_repr_of_a_queue_tells_its_descriptor_and_whether_it_is_closed() -> None:
    with CompletionQueue() as queue:
        assert repr(queue) == f"<CompletionQueue fd={queue.fileno()}>"
    assert repr(queue) == "<CompletionQueue closed>"


def test_repr_of_an_open_tells_whether_it_was_awaited(tmp_path: Path) -> None:
    path = tmp_path / "file"

    async def main() -> None:
        opening = aio_posix.asyncio.open(path, "wb")
        assert repr(opening) == f"<open({path!r}, 'wb') not awaited>"
        file = await opening
        assert repr(opening) == f"<open({path!r}, 'wb'): {file!r}>"
        await file.close()

    asyncio.run(main())


def test_repr_of_a_sigevent_tells_its_kind_and_what_it_carries() -> None:
    assert repr(sigevent()) == "<sigevent SIGEV_NONE>"
    by_signal = sigevent(SIGEV_SIGNAL, sigev_signo=signal.SIGUSR1, sigev_value="this")
    assert repr(by_signal) == f"<sigevent SIGEV_SIGNAL {int(signal.SIGUSR1)} value='this'>"
    called = sigevent(SIGEV_THREAD, sigev_notify_function=print)
    assert repr(called) == "<sigevent SIGEV_THREAD <built-in function print>>"
