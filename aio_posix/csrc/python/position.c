/* Where an open file stands, and what can be read there at once.
 *
 * State: `fd`, and `at`, the position, which is negative when the system has it.  `least` is the
 * size of the smallest read that may be made at once.  It is NEVER while anything was read ahead or
 * waits to be written, 0 after a seek, and the `chunk` that is read ahead when the file is read in
 * sequence.  `first` is the first such chunk.  `length` is how long the file was when it was
 * opened.
 *
 * - Nothing here waits.  What cannot be done at once is not done at all, and says None or False.
 * - Only Python's files use these objects, one call at a time.
 */
#include "page_cache.h"

#include <stddef.h>

struct position {
    PyObject_HEAD
    int fd;
    long long at;
    Py_ssize_t least, chunk, first, length;
};

static const Py_ssize_t NEVER = PY_SSIZE_T_MAX;
static const long long SURE = INT32_MAX; /* any file may end here; beyond it lseek may refuse */

/* All up to the end, unless the file has grown since it was opened. */
static PyObject *read_all(struct position *p)
{
    Py_ssize_t nbytes = (p->length > p->at ? p->length - (Py_ssize_t)p->at : 0) + 1;
    if (p->least == NEVER || nbytes > NOW_MOST)
        return none();
    PyObject *data = page_cache_read(p->fd, nbytes, p->at);
    if (data == NULL || data == Py_None)
        return data;
    if (PyBytes_Size(data) == nbytes) {
        Py_DECREF(data);
        return none();
    }
    p->at += PyBytes_Size(data);
    return data;
}

/* read_now(nbytes) -> bytes | None; -1: all */
static PyObject *position_read(PyObject *self, PyObject *size)
{
    struct position *p = (struct position *)self;
    Py_ssize_t nbytes = PyLong_AsSsize_t(size);
    if (nbytes == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return none();
    }
    if (p->at < 0)
        return none();
    if (nbytes == -1)
        return read_all(p);
    if (nbytes <= 0 || nbytes < p->least || p->least == NEVER)
        return none();
    PyObject *data = page_cache_read(p->fd, nbytes, p->at);
    if (data != NULL && data != Py_None) {
        p->at += PyBytes_Size(data);
        p->least = p->chunk;
    }
    return data;
}

/* Whether a read at any offset sees what it should without waiting. */
static int clean(const struct position *p)
{
    return p->at >= 0 && p->least != NEVER;
}

/* pread_now(nbytes, offset) -> bytes | None; OTHERWISE: the page cache was not asked */
static PyObject *position_pread(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct position *p = (struct position *)self;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "expected nbytes, offset");
        return NULL;
    }
    Py_ssize_t nbytes = -1;
    long long offset = -1;
    if (clean(p) && PyLong_CheckExact(args[0]) && PyLong_CheckExact(args[1])) {
        nbytes = PyLong_AsSsize_t(args[0]);
        offset = PyLong_AsLongLong(args[1]);
        if ((nbytes == -1 || offset == -1) && PyErr_Occurred())
            PyErr_Clear();
    }
    return page_cache_read(p->fd, nbytes, offset);   /* which declines what is negative */
}

/* readinto_now(buffer[, offset]) -> int | None; without an offset at the position, which moves */
static PyObject *position_readinto(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct position *p = (struct position *)self;
    if (nargs != 1 && nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "expected buffer, offset");
        return NULL;
    }
    int fd = clean(p) ? p->fd : -1;
    if (nargs == 2)
        return page_cache_readinto(fd, args[0], page_cache_offset(args[1]));
    PyObject *count = page_cache_readinto(fd, args[0], p->at);
    if (count != NULL && count != Py_None)
        p->at += PyLong_AsSsize_t(count);
    return count;
}

/* seek_now(offset) -> bool */
static PyObject *position_seek(PyObject *self, PyObject *offset)
{
    struct position *p = (struct position *)self;
    if (p->at < 0 || p->least == NEVER || !PyLong_CheckExact(offset))
        return PyBool_FromLong(0);
    long long at = PyLong_AsLongLong(offset);
    if (at < 0 || (at > SURE && at > p->length)) {
        PyErr_Clear();
        return PyBool_FromLong(0);
    }
    p->at = at;
    p->chunk = p->first;
    p->least = 0;
    return PyBool_FromLong(1);
}

static PyMethodDef position_methods[] = {
    { "read_now", position_read, METH_O, "read_now(nbytes, /) -> bytes, or None; -1: all" },
    { "pread_now", FASTCALL(position_pread),
      "pread_now(nbytes, offset, /) -> bytes, or None: declined() says OTHERWISE if nothing was\n"
      "asked" },
    { "readinto_now", FASTCALL(position_readinto),
      "readinto_now(buffer, offset=None, /) -> how many bytes came, or None; by default at the\n"
      "position" },
    { "seek_now", position_seek, METH_O, "seek_now(offset, /) -> whether it is there now" },
    { NULL, NULL, 0, NULL },
};

static PyMemberDef position_members[] = {
    { "fd", T_INT, offsetof(struct position, fd), 0, NULL },
    { "at", T_LONGLONG, offsetof(struct position, at), 0, NULL },
    { "least", T_PYSSIZET, offsetof(struct position, least), 0, NULL },
    { "chunk", T_PYSSIZET, offsetof(struct position, chunk), 0, NULL },
    { "first", T_PYSSIZET, offsetof(struct position, first), 0, NULL },
    { "length", T_PYSSIZET, offsetof(struct position, length), 0, NULL },
    { NULL, 0, 0, 0, NULL },
};

int position_start(PyObject *module)
{
    PyType_Slot slots[] = {
        { Py_tp_members, position_members },
        { Py_tp_methods, position_methods },
        { 0, NULL },
    };
    return type_of(module, "aio_posix._calls.Position", sizeof(struct position),
                   Py_TPFLAGS_BASETYPE, slots) != NULL ? 0 : -1;
}
