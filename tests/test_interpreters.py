"""A second interpreter of a process: the state of C is the process's, so it gets an error."""

from __future__ import annotations

import fresh
import pytest


@pytest.mark.parametrize("first", [True, False], ids=["loaded before", "not loaded before"])
def test_a_second_interpreter_is_refused_in_a_sentence(first: bool) -> None:
    printed = fresh.output(f"""
        try:
            import _interpreters as interpreters
        except ImportError:  # up to 3.12
            import _xxsubinterpreters as interpreters
        import textwrap
        if {first}:
            import aio_posix
        other = interpreters.create()
        run = getattr(interpreters, "exec", None) or interpreters.run_string
        run(other, textwrap.dedent('''
            try:
                import aio_posix
            except ImportError as error:
                print("refused:", error, flush=True)
            else:
                print("loaded", flush=True)
        '''))
        interpreters.destroy(other)  # or 3.14 warns of it at exit
        """)
    refused = printed.startswith("refused: ")
    assert refused or (not first and printed == "loaded\n")
    if refused:
        assert "aio_posix" in printed
