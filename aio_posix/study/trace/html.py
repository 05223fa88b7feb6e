"""A timeline as one page of HTML without anything to load: the picture to zoom into, and the table.

Turn the wheel to zoom, drag to move; what is pointed at keeps its colour together with all that
belongs to the same request: submission, queue, I/O, notification, callback and the arrows between
them.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from aio_posix.study.trace.svg import svg
from aio_posix.study.trace.table import text
from aio_posix.study.trace.timeline import Timeline

WIDTH = 2200  # of the picture; it scrolls

STYLE = """
body { margin: 0; font: 14px system-ui, sans-serif; color: #1f2933; background: #e4e7eb }
#picture { overflow: auto; cursor: grab }
#picture svg { display: block; margin: 8px }
.follow [data-of]:not(.on) { opacity: .12 }
pre, p { margin: 12px 24px; font-size: 13px }
"""

SCRIPT = """
const frame = document.getElementById("picture"), svg = frame.querySelector("svg");
const ratio = svg.viewBox.baseVal.height / svg.viewBox.baseVal.width;
let width = svg.viewBox.baseVal.width;
function size(to) { width = to; svg.style.width = to + "px"; svg.style.height = to * ratio + "px"; }
size(width);
frame.addEventListener("wheel", event => {
  event.preventDefault();
  const box = frame.getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  const factor = Math.min(Math.max(width * Math.exp(-event.deltaY / 500), 600), 40000) / width;
  const left = (frame.scrollLeft + x) * factor - x, top = (frame.scrollTop + y) * factor - y;
  size(width * factor);
  frame.scrollTo(left, top);
}, { passive: false });
frame.addEventListener("pointermove", event => {
  if (event.buttons & 1) frame.scrollBy(-event.movementX, -event.movementY);
});
const parts = [...svg.querySelectorAll("[data-of]")];
const numbers = part => part.dataset.of.split(" ").filter(Boolean);
svg.addEventListener("mouseover", event => {
  const here = event.target.closest("[data-of]"), wanted = new Set(here ? numbers(here) : []);
  svg.classList.toggle("follow", wanted.size > 0);
  for (const part of parts) part.classList.toggle("on", numbers(part).some(one => wanted.has(one)));
});
"""


def html(line: Timeline) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{escape(line.title)}: requests and threads</title>
<style>{STYLE}</style>
<div id="picture">
{svg(line, WIDTH)}</div>
<p>Wheel: zoom. Drag: move. Point at anything: it and all that belongs to the same request.</p>
<pre>{escape(text(line))}</pre>
<script>{SCRIPT}</script>
</html>
"""
