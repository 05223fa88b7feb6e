"""The lessons. Each is one module lNN_words.py: one question, answered by code.

  NUMBER        its place in the course
  ASK, GUESS    the question; what most people would answer
  SOURCE, TRY   glibc's file and function; one change to make, and what it will show
  C             optional: the same in C, to be read beside the Python
  NEEDS         optional: modules and programs that are not installed with the package
  run(show)     the experiment. show(...) is print; show(..., measured=True) is for what
                differs from run to run. It ends in asserts on order and count, never on
                time.

The functions of the module are its Run part and are printed as they stand. What show()
printed is its See part. Every run has a process of its own: aio_init works once. A
transcript writes "tid 1234", "pid 1234" and "fd 7" as "tid 1", "pid 1" and "fd A", so a
lesson prints them in this form.
"""

from __future__ import annotations

import pkgutil


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
