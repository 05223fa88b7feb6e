"""Everything that has to hold, each in an environment of its own: `nox` runs the suite on every
CPython that is found here, the lint, the types and the wheel; `nox -s lint` one of them.
"""

import shutil
from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15", "3.14t", "3.15t"]
WHEEL_TOOLS = ["build", "setuptools>=77", "cffi>=1.17", "twine", "abi3audit", "auditwheel"]

nox.needs_version = ">=2024.3.2"
nox.options.error_on_missing_interpreters = False
nox.options.default_venv_backend = "venv"


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The suite; `nox -s tests-3.13 -- -k queue` a part of it."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff: rules and format."""
    session.install("ruff>=0.6")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict of the package, and what mypy and basedpyright find in a user's programs."""
    session.install("-e", ".[test,types]")
    session.run("mypy")
    session.run("pytest", "tests/test_typing.py")


@nox.session
def docs(session: nox.Session) -> None:
    """The site in build/site, with warnings as errors, and the programs that its pages show."""
    session.install("-e", ".[test,docs,examples]")
    session.run("python", "-m", "sphinx", "-W", "docs", "build/site")
    session.run("pytest", "tests/test_docs.py", "tests/test_examples.py", "tests/test_site.py")


def built(session: nox.Session, *what: str) -> Path:
    """A folder with the source archive and the wheel, or what of the two is named."""
    dist = Path(session.create_tmp()) / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--no-isolation", *what, "--outdir", str(dist))
    return dist


@nox.session
def wheel(session: nox.Session) -> None:
    """Source archive and wheel, and what the tools of the trade say about them."""
    session.install(*WHEEL_TOOLS)
    dist = built(session)
    session.run("twine", "check", "--strict", *map(str, dist.iterdir()))
    for path in dist.glob("*.whl"):
        session.run("auditwheel", "show", str(path))
        if "abi3" in path.name:
            session.run("abi3audit", "--strict", "--summary", str(path))


@nox.session(python=PYTHONS)
def installed(session: nox.Session) -> None:
    """The wheel that `nox -s wheel` made, installed where there is no compiler, runs an example.

    A free-threaded Python needs a wheel of its own, which is made first.
    """
    dist = Path(".nox/wheel/tmp/dist")
    if str(session.python).endswith("t"):
        session.install("build", "setuptools>=77", "cffi>=2")
        dist = built(session, "--wheel")
    (path,) = dist.glob("*.whl")
    session.install(str(path), env={"CC": "/nonexistent/cc"})
    example = Path("examples/suspend.py").resolve()
    session.chdir(session.create_tmp())
    session.run("python", str(example))
