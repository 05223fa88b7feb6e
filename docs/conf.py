"""The site: `python -m sphinx -W docs build/site` builds it without a network."""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms import SphinxTransform

from aio_posix import __version__

project = "aio_posix"
author = "the aio_posix authors"
project_copyright = "the aio_posix authors, MIT licence"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
nitpicky = False  # without a network there are no inventories of Python's own documentation

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"aio_posix {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options: dict[str, Any] = {"navigation_with_keys": True}


class DarkPictures(SphinxTransform):
    """A picture NAME.svg beside which NAME-dark.svg stands is shown in the colours of the page."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        here = Path(self.env.doc2path(self.env.docname)).parent
        for light in list(self.document.findall(nodes.image)):
            dark = light["uri"].removesuffix(".svg") + "-dark.svg"
            if (here / dark).exists():
                twin = light.deepcopy()
                twin["uri"] = dark
                light["classes"].append("only-light")
                twin["classes"].append("only-dark")
                light.parent.insert(light.parent.index(light) + 1, twin)


# Overloads are for type checkers. A page shows one signature of each function.
ModuleAnalyzer.overloads = property(lambda _: {}, lambda *_: None)


def setup(app: Sphinx) -> None:
    app.add_transform(DarkPictures)
