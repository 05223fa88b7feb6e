"""numpy arrays as buffers, and numpy's integers as numbers."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import Pipe, done

import aio_posix as aio

np: Any = pytest.importorskip("numpy")


def read(fd: Any, buffer: Any, *args: Any) -> Any:
    cb = aio.aiocb(fd, buffer, *args)
    aio.aio_read(cb)
    return done(cb)


@pytest.mark.parametrize("dtype", ["u1", "i4", "f8", "c16", "?", "S4", "V8", ">i8"])
def test_an_array_of_any_plain_type_is_read_into(file: int, dtype: str) -> None:
    array = np.zeros(2, dtype=dtype)
    n = min(array.nbytes, 10)
    assert read(file, array) == n
    assert array.tobytes()[:n] == b"0123456789"[:n]


def test_an_array_is_written_as_it_lies_in_memory(file: int) -> None:
    array = np.arange(6, dtype="<u2").reshape(2, 3)
    cb = aio.aiocb(file, array)
    aio.aio_write(cb)
    assert done(cb) == 12
    assert os.pread(file, 12, 0) == array.tobytes()


def test_aio_nbytes_counts_bytes_not_elements() -> None:
    assert aio.aiocb(0, np.zeros((3, 4), dtype="f8")).aio_nbytes == 96


def test_rows_of_an_array_can_be_read_apart(file: int) -> None:
    array = np.zeros((2, 5), dtype="S1")
    assert read(file, array[1], 5) == 5
    assert array.tobytes() == bytes(5) + b"56789"


@pytest.mark.parametrize(
    "view", [np.s_[:, 1], np.s_[::2], np.s_[::-1]], ids=["column", "every second", "backwards"]
)
def test_a_view_with_gaps_is_refused(view: Any) -> None:
    with pytest.raises(ValueError, match="contiguous"):
        aio.aiocb(0, np.zeros((4, 4), dtype="u1")[view])


def test_an_array_in_fortran_s_order_is_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        aio.aiocb(0, np.zeros((4, 4), order="F"))


def test_a_read_only_array_is_refused_for_a_read_and_good_for_a_write(file: int) -> None:
    array = np.frombuffer(b"abcd", dtype="u1")
    with pytest.raises(TypeError, match="read-only"):
        aio.aio_read(aio.aiocb(file, array))
    cb = aio.aiocb(file, array)
    aio.aio_write(cb)
    assert done(cb) == 4


@pytest.mark.parametrize(
    "dtype", [object, [("number", "i8"), ("thing", "O")], [("inner", [("thing", "O")])]]
)
def test_an_array_of_objects_is_refused(dtype: Any) -> None:
    """Whoever looked at it after the read would crash."""
    with pytest.raises(TypeError, match="references"):
        aio.aiocb(0, np.zeros(4, dtype=dtype))


def test_a_record_with_a_field_called_o_is_no_object(file: int) -> None:
    array = np.zeros(1, dtype=[("O", "S2"), ("Offset", "S2")])
    assert read(file, array) == 4
    assert array[0].tolist() == (b"01", b"23")


def test_an_empty_array_is_read_into_without_waiting(pipe: Pipe) -> None:
    assert read(pipe.read, np.zeros(0)) == 0


def test_an_array_in_flight_cannot_be_resized(pipe: Pipe) -> None:
    """G11"""
    array = np.zeros(8, dtype="u1")
    cb = aio.aiocb(pipe.read, array)
    aio.aio_read(cb)
    with pytest.raises(ValueError, match="resize"):
        array.resize(1000)
    pipe.feed()
    done(cb)


def test_an_array_lives_until_its_read_is_done(pipe: Pipe) -> None:
    """G11"""
    cb = aio.aiocb(pipe.read, np.zeros(1 << 20, dtype="u1"))
    aio.aio_read(cb)
    view = cb.aio_buf[:3]
    pipe.feed(b"abc")
    assert done(cb) == 3
    assert view.tobytes() == b"abc"


@pytest.mark.parametrize("kind", ["int8", "int64", "uint64"])
def test_numpy_s_integers_are_integers(file: int, kind: str) -> None:
    number = getattr(np, kind)
    cb = aio.aiocb(number(file), bytearray(8), number(2), number(3), aio_reqprio=number(0))
    aio.aio_read(cb)
    assert done(cb) == 3
    assert cb.aio_buf[:3] == b"234"
    assert aio.aio_cancel(number(file)) == aio.AIO_ALLDONE


@pytest.mark.parametrize(
    "wrong", [np.float64(1), np.zeros(2), np.array(["a"])], ids=["float", "array", "text"]
)
def test_numpy_s_other_things_are_not(wrong: Any) -> None:
    with pytest.raises(TypeError, match="aio_offset"):
        aio.aiocb(0, bytearray(1), wrong)


@pytest.mark.parametrize("timeout", [np.float32(0.01), np.float64(0.01), np.int64(0)])
def test_numpy_s_numbers_are_timeouts(pipe: Pipe, timeout: Any) -> None:
    assert aio.aio_suspend([pipe.blocked()], timeout) is False


def test_an_array_over_aligned_memory_works_with_o_direct(tmp_path: Path) -> None:
    path = tmp_path / "direct"
    path.write_bytes(bytes(range(256)) * 32)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError as error:
        pytest.skip(f"no O_DIRECT here: {error}")
    array = np.frombuffer(mmap.mmap(-1, 8192), dtype="u1")
    assert read(fd, array) == 8192
    assert array[-1] == 255
    os.close(fd)


def test_a_memory_mapped_array_is_read_into(tmp_path: Path, file: int) -> None:
    array = np.memmap(tmp_path / "map", dtype="u1", mode="w+", shape=(10,))
    assert read(file, array) == 10
    array.flush()
    assert (tmp_path / "map").read_bytes() == b"0123456789"
