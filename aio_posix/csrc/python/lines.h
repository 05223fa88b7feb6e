/* A window of what was read.  All of `data` before `at` has been taken, and `left` is how many
 * letters may be taken as lines before the event loop and other tasks get their turn.
 */
#ifndef AIO_POSIX_LINES_H
#define AIO_POSIX_LINES_H
#include "python.h"

#include <stdbool.h>

struct window {
    PyObject_HEAD
    PyObject *data;
    Py_ssize_t size, at, end, lf, cr, left;
    int ends;
    bool text;
};

extern PyTypeObject *window_type;

/* inside LOCKED(window) */
Py_ssize_t end_of_line(struct window *w);   /* 0: there is none; -1 with an exception */
PyObject *cut_line(struct window *w);       /* NULL without an exception if there is none */

#endif
