"""Takes one protection out at a time and sees whether a test notices.

`python tests/mutants.py` runs every mutant of tests/mutants/*.toml, `python tests/mutants.py NAME
...` those whose names begin so. Each is one change of one line (`old` becomes `new`) in a scratch
copy; only what changed is built, and only its own tests run. A mutant is killed when one of them
fails, crashes or hangs. A survivor needs a sentence in `survives` that says why nobody can notice.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LISTS = sorted((ROOT / "tests" / "mutants").glob("*.toml"))
TIME_LIMIT = 60  # seconds for the tests of one mutant; more is a hang
MODULE = "aio_posix/_ffi.abi3.so"


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    survives: str = ""  # why nobody can notice


def node(test: str) -> str:
    """The name pytest has for a test; walls.NAME and gates.NAME are those of test_walls.py."""
    is_wall = test.startswith(("walls.", "gates."))
    return f"tests/test_walls.py::test_a_wall_holds[{test}]" if is_wall else f"tests/{test}"


def mutants() -> list[Mutant]:
    """All of them. Raises ValueError if two have the same name."""
    found = [
        Mutant(**{**entry, "tests": tuple(map(node, entry.get("tests", ())))})
        for path in LISTS
        for entry in tomllib.loads(path.read_text())["mutant"]
    ]
    twice = [name for name, n in Counter(mutant.name for mutant in found).items() if n > 1]
    if twice:
        raise ValueError(f"two mutants with one name: {', '.join(twice)}")
    return found


class Scratch:
    """A copy of the working tree, built once; one file of it is mutated at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
        for name in names.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        sys.path.insert(0, str(folder))
        from build_ffi import ffibuilder

        os.chdir(folder)
        _, _, _, options = ffibuilder._assigned_source  # what cffi's own build reads
        ffibuilder.emit_c_code("_ffi.c")
        self.sources = ["_ffi.c", *options["sources"]]
        self.flags = [
            *(f"-I{path}" for path in options.get("include_dirs", ())),
            *(
                f"-D{name}" if value is None else f"-D{name}={value}"
                for name, value in options.get("define_macros", ())
            ),
            *options.get("extra_compile_args", ()),
            f"-I{sysconfig.get_paths()['include']}",
        ]
        self.objects = {source: self.compile(source, ".o") for source in self.sources}
        self.link(self.objects)

    def compile(self, source: str, suffix: str) -> str:
        target = source.replace("/", "_") + suffix
        command = ["gcc", "-c", "-fPIC", "-O1", "-g", *self.flags, source, "-o", target]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return target

    def link(self, objects: dict[str, str]) -> None:
        command = ["gcc", "-shared", "-pthread", *objects.values(), "-o", MODULE]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    def build(self, changed: str) -> None:
        """Makes the module with one changed file in it; that of a header goes into every object."""
        if changed.endswith((".c", ".h")):
            again = [changed] if changed in self.objects else self.sources
            self.link(self.objects | {source: self.compile(source, ".m.o") for source in again})

    def passes(self, tests: tuple[str, ...], limit: float = TIME_LIMIT) -> tuple[bool, str]:
        """Whether the tests pass, and in a word what happened."""
        environment = os.environ | {
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",  # a mutated module has the size and time of the right
        }
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return False, "hung"
        if process.returncode < 0:
            return False, f"killed by {signal.Signals(-process.returncode).name}"
        if process.returncode not in (0, 1):
            raise RuntimeError(f"pytest could not run {' '.join(tests)}:\n{said}")
        failed = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return process.returncode == 0, failed[0].split(" - ")[0] if failed else ""

    def attempt(self, mutant: Mutant) -> tuple[bool, str]:
        """Whether the mutant survives its tests."""
        path = self.folder / mutant.file
        right = path.read_text()
        if right.count(mutant.old) != 1:
            raise RuntimeError(f"{mutant.file} has `{mutant.old}` {right.count(mutant.old)} times")
        path.write_text(right.replace(mutant.old, mutant.new))
        try:
            self.build(mutant.file)
            return self.passes(mutant.tests)
        finally:
            path.write_text(right)
            if mutant.file.endswith((".c", ".h")):
                self.link(self.objects)


def verdict(mutant: Mutant, scratch: Scratch) -> tuple[str, str]:
    """One of killed, survives, SURVIVED and BROKEN, and what to say of it."""
    if not mutant.tests:  # no test could see it: at least the line is still there
        found = (scratch.folder / mutant.file).read_text().count(mutant.old)
        return ("survives", mutant.survives) if found == 1 else ("BROKEN", f"found {found} times")
    try:
        survived, how = scratch.attempt(mutant)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        return "BROKEN", detail if isinstance(detail, str) else detail.decode()
    if not survived:
        return ("BROKEN", f"said to survive, but {how}") if mutant.survives else ("killed", how)
    return ("survives", mutant.survives) if mutant.survives else ("SURVIVED", "")


def main(names: list[str]) -> int:
    """Runs the mutants; 1 if one survived without a reason or could not be run."""
    chosen = [m for m in mutants() if not names or m.name.startswith(tuple(names))]
    os.nice(5)
    results: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Scratch(Path(folder))
        tests = tuple(sorted({test for mutant in chosen for test in mutant.tests}))
        well, how = scratch.passes(tests, 20 * TIME_LIMIT) if tests else (True, "")
        if not well:
            print(f"without any mutant, {how}: nothing can be said", file=sys.stderr)
            return 1
        for number, mutant in enumerate(chosen, 1):
            label = f"[{number}/{len(chosen)}] {mutant.name}"
            if sys.stdout.isatty():
                print(f"{label} ...", end="\r", flush=True)
            began = time.monotonic()
            result, how = verdict(mutant, scratch)
            results[result] += 1
            took = time.monotonic() - began
            print(f"{label:50} {result:9} {took:4.1f} s  {how}", flush=True)
    print(", ".join(f"{n} {result}" for result, n in sorted(results.items())))
    return 1 if results["SURVIVED"] or results["BROKEN"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
