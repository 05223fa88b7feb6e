"""The site is built without a warning, and every link inside it leads somewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import pytest

import aio_posix

ROOT = Path(__file__).parent.parent


class Page(HTMLParser):
    """The anchors of a page, and what it points to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages by their paths."""
    for name in ("sphinx", "furo", "myst_parser"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"no {name}: pip install -e '.[docs]'")
    place = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", str(place)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return {path: Page(path) for path in place.rglob("*.html")}


def test_every_link_of_the_site_leads_somewhere(site: dict[Path, Page]) -> None:
    broken = []
    for path, page in site.items():
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = path
            if url.path:
                target = (path.parent / urllib.parse.unquote(url.path)).resolve()
            anchor = urllib.parse.unquote(url.fragment)
            lost = anchor and target in site and anchor not in site[target].anchors
            if not target.exists() or lost:
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_the_site_fetches_nothing_from_elsewhere(site: dict[Path, Page]) -> None:
    fetched = [
        link
        for path in site
        for link in path.read_text().split('src="')[1:]
        if link.startswith(("http:", "https:", "//"))
    ]
    assert fetched == []


def test_the_reference_describes_every_public_name(site: dict[Path, Page]) -> None:
    described = set().union(*(page.anchors for page in site.values()))
    constants = {name for kind in KINDS for name in kind.__members__}
    names = {f"aio_posix.{name}" for name in aio_posix.__all__ if name not in constants}
    names |= {f"aio_posix.asyncio.{name}" for name in aio_posix.asyncio.__all__}
    assert names - described == set()


KINDS = (aio_posix.LioMode, aio_posix.LioOpcode, aio_posix.CancelResult, aio_posix.SigevNotify)


def linked(path: Path) -> list[str]:
    """The relative links of a document, without their anchors."""
    words = path.read_text().split("](")[1:]
    links = [word.partition(")")[0].partition("#")[0] for word in words]
    return [link for link in links if link and "://" not in link]


DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("[eb]*/README.md")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere_without_the_site(path: Path) -> None:
    assert [link for link in linked(path) if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_picture_of_a_document_is_there(path: Path) -> None:
    places = re.findall(r'(?:srcset|src)="([^"]+)"', path.read_text())
    assert [place for place in places if not (path.parent / place).exists()] == []
