/* Lines, cut from what was read when somebody asks for them.
 *
 * State: see lines.h.  `end` is where the next line ends, if that is known (else it is not behind
 * `at`), and `lf` and `cr` are where these letters come next.
 */
#include "lines.h"

#include <string.h>

enum ends { LF, CR, CRLF, ANY };      /* what a line ends with; bytes end with LF */

PyTypeObject *window_type;
static PyObject *crlf;

/* Where the letter comes next, or the size; -1 with an exception. */
static Py_ssize_t next_of(struct window *w, Py_UCS4 letter, Py_ssize_t *known)
{
    if (*known < w->at) {
        Py_ssize_t i = PyUnicode_FindChar(w->data, letter, w->at, w->size, 1);
        if (i == -2)
            return -1;
        *known = i == -1 ? w->size : i;
    }
    return *known;
}

static Py_ssize_t end_in_text(struct window *w)
{
    Py_ssize_t size = w->size, lf = size, cr = size;
    if (w->ends == CRLF) {
        Py_ssize_t i = PyUnicode_Find(w->data, crlf, w->at, size, 1);
        return i == -1 ? 0 : i == -2 ? -1 : i + 2;
    }
    if (w->ends != CR && (lf = next_of(w, '\n', &w->lf)) < 0)
        return -1;
    if (w->ends != LF && (cr = next_of(w, '\r', &w->cr)) < 0)
        return -1;
    if (lf == size && cr == size)
        return 0;
    if (lf < cr)
        return lf + 1;
    return cr + 1 == lf && lf < size ? cr + 2 : cr + 1;
}

static Py_ssize_t end_in_bytes(struct window *w)
{
    char *data = PyBytes_AsString(w->data);
    char *lf = memchr(data + w->at, '\n', (size_t)(w->size - w->at));
    return lf == NULL ? 0 : lf + 1 - data;
}

Py_ssize_t end_of_line(struct window *w)
{
    if (w->end <= w->at && w->data != NULL)
        w->end = w->text ? end_in_text(w) : end_in_bytes(w);
    return w->end;
}

PyObject *cut_line(struct window *w)
{
    Py_ssize_t at = w->at, end = end_of_line(w);
    if (end <= 0)
        return NULL;
    PyObject *line = w->text
                         ? PyUnicode_Substring(w->data, at, end)
                         : PyBytes_FromStringAndSize(PyBytes_AsString(w->data) + at, end - at);
    if (line != NULL) {
        w->at = end;
        w->left -= end - at;
    }
    return line;
}

static PyObject *line_or_none(struct window *w, int now)
{
    PyObject *line = NULL;
    LOCKED(w, line = !now || w->left > 0 ? cut_line(w) : NULL);
    return line != NULL || PyErr_Occurred() ? line : none();
}

static PyObject *window_line(PyObject *self, PyObject *unused)
{
    (void)unused;
    return line_or_none((struct window *)self, 0);
}

static PyObject *window_line_now(PyObject *self, PyObject *unused)
{
    (void)unused;
    return line_or_none((struct window *)self, 1);
}

static PyObject *window_lines(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *lines = PyList_New(0), *line;
    while (lines != NULL && (line = line_or_none((struct window *)self, 0)) != Py_None) {
        if (line == NULL || PyList_Append(lines, line) != 0)
            Py_CLEAR(lines);
        Py_XDECREF(line);
    }
    if (lines != NULL)
        Py_DECREF(Py_None);
    return lines;
}

static void begin_at(struct window *w, Py_ssize_t at)
{
    w->at = at;
    w->end = 0;
    w->lf = w->cr = -1;
}

static PyObject *window_hold(PyObject *self, PyObject *data)
{
    struct window *w = (struct window *)self;
    PyObject *before = NULL;
    bool text = PyUnicode_Check(data);
    if (!text && !PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "a window holds str or bytes");
        return NULL;
    }
    Py_ssize_t size = PyObject_Size(data);
    Py_INCREF(data);
    LOCKED(w, {
        before = w->data;
        w->data = data;
        w->size = size;
        w->text = text;
        begin_at(w, 0);
    });
    Py_XDECREF(before);
    return none();
}

/* In place where nobody else has what is held.  When there is no memory, nothing is held. */
static PyObject *window_append(PyObject *self, PyObject *more)
{
    struct window *w = (struct window *)self;
    if (!w->text || !PyUnicode_Check(more)) {
        PyErr_SetString(PyExc_TypeError, "a window of str grows by str");
        return NULL;
    }
    LOCKED(w, {
        PyUnicode_Append(&w->data, more);
        w->size = w->data != NULL ? PyUnicode_GetLength(w->data) : 0;
        begin_at(w, w->data != NULL ? w->at : 0);
    });
    return PyErr_Occurred() ? NULL : none();
}

static PyObject *window_move(PyObject *self, PyObject *place)
{
    struct window *w = (struct window *)self;
    Py_ssize_t at = PyLong_AsSsize_t(place);
    int inside = 0;
    if (PyErr_Occurred())
        return NULL;
    LOCKED(w, {
        inside = at >= 0 && at <= w->size;
        if (inside)
            begin_at(w, at);
    });
    if (inside)
        return none();
    PyErr_SetString(PyExc_ValueError, "not inside the window");
    return NULL;
}

static void window_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_CLEAR(((struct window *)self)->data);
    freefunc release;
    slot_of(type, Py_tp_free, &release);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef window_methods[] = {
    { "hold", window_hold, METH_O, "hold(data, /): holds these, and nothing else any more" },
    { "append", window_append, METH_O, "append(text, /): holds this, too" },
    { "move", window_move, METH_O, "move(at, /): what is before `at` has been taken" },
    { "line", window_line, METH_NOARGS, "line() -> the next line, or None" },
    { "lines", window_lines, METH_NOARGS, "lines() -> all whole lines" },
    { "__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Lines[str] or Lines[bytes]" },
    { "line_now", window_line_now, METH_NOARGS, "line_now() -> the same while anything is left" },
    { NULL, NULL, 0, NULL },
};

static PyMemberDef window_members[] = {
    { "data", T_OBJECT, offsetof(struct window, data), READONLY, NULL },
    { "at", T_PYSSIZET, offsetof(struct window, at), READONLY, NULL },
    { "left", T_PYSSIZET, offsetof(struct window, left), 0, NULL },
    { "ends", T_INT, offsetof(struct window, ends), 0, NULL },
    { NULL, 0, 0, 0, NULL },
};

int lines_start(PyObject *module)
{
    PyType_Slot window[] = {
        function_slot(Py_tp_dealloc, (void (*)(void))window_dealloc),
        { Py_tp_members, window_members },
        { Py_tp_methods, window_methods },
        { 0, NULL },
    };
    crlf = PyUnicode_FromString("\r\n");
    window_type = type_of(module, "aio_posix._calls.Lines", sizeof(struct window),
                          Py_TPFLAGS_BASETYPE, window);
    return crlf != NULL && window_type != NULL ? 0 : -1;
}
