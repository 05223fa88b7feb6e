/* Many reads of the page cache in one call, as far as they are answered at once.
 *
 * What is read goes to the end of a list of results.  So a call goes on where the one before it
 * stopped, and declined() says why it did.
 */
#include "page_cache.h"

/* Whether it is a tuple (nbytes, offset) of ints that a read can have.  -1 with an error. */
static int range_of(PyObject *range, Py_ssize_t *nbytes, int64_t *offset)
{
    if (!PyTuple_Check(range) || PyTuple_Size(range) != 2)
        return 0;
    PyObject *first = PyTuple_GetItem(range, 0), *second = PyTuple_GetItem(range, 1);
    if (!PyLong_CheckExact(first) || !PyLong_CheckExact(second))
        return 0;
    *nbytes = PyLong_AsSsize_t(first);
    *offset = PyLong_AsLongLong(second);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return *nbytes >= 0 && *offset >= 0;
}

static PyObject *plain_ranges(PyObject *self, PyObject *ranges)
{
    (void)self;
    Py_ssize_t n = PyList_Size(ranges), nbytes;
    int64_t offset;
    if (n < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < n; i++)
        if (!range_of(PyList_GetItem(ranges, i), &nbytes, &offset))
            return PyBool_FromLong(0);
    return PyBool_FromLong(1);
}

static PyObject *read_many_now(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    int fd;
    if (nargs != 3 || !PyList_Check(args[1]) || !PyList_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "expected fd, ranges, results");
        return NULL;
    }
    if (int_of(args[0], &fd) != 0)
        return NULL;
    for (Py_ssize_t i = PyList_Size(args[2]); i < PyList_Size(args[1]); i++) {
        PyObject *range = PyList_GetItem(args[1], i);
        PyObject *size = PyTuple_GetItem(range, 0), *at = PyTuple_GetItem(range, 1);
        Py_ssize_t nbytes = size && at ? PyLong_AsSsize_t(size) : -1;
        int64_t offset = nbytes != -1 ? PyLong_AsLongLong(at) : -1;
        PyObject *data = PyErr_Occurred() ? NULL : page_cache_read(fd, nbytes, offset);
        if (data == NULL || data == Py_None)
            return data;
        int failed = PyList_Append(args[2], data);
        Py_DECREF(data);
        if (failed)
            return NULL;
    }
    return none();
}

/* What a tuple (buffer, offset) means, the buffer exported: 1, 0 with an error if it may. */
static int buffer_of(PyObject *pair, Py_buffer *view, int64_t *offset)
{
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2
        || !PyLong_CheckExact(PyTuple_GetItem(pair, 1)))
        return 0;
    *offset = PyLong_AsLongLong(PyTuple_GetItem(pair, 1));
    if (*offset < 0)
        return 0;
    return PyObject_GetBuffer(PyTuple_GetItem(pair, 0), view, PyBUF_WRITABLE) == 0;
}

static PyObject *plain_buffers(PyObject *self, PyObject *pairs)
{
    (void)self;
    Py_ssize_t n = PyList_Size(pairs);
    int64_t offset;
    Py_buffer view;
    if (n < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!buffer_of(PyList_GetItem(pairs, i), &view, &offset)) {
            PyErr_Clear();
            return PyBool_FromLong(0);
        }
        PyBuffer_Release(&view);
    }
    return PyBool_FromLong(1);
}

static PyObject *readinto_many_now(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    int fd;
    if (nargs != 3 || !PyList_Check(args[1]) || !PyList_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "expected fd, buffers, counts");
        return NULL;
    }
    if (int_of(args[0], &fd) != 0)
        return NULL;
    for (Py_ssize_t i = PyList_Size(args[2]); i < PyList_Size(args[1]); i++) {
        Py_buffer view;
        int64_t offset;
        if (!buffer_of(PyList_GetItem(args[1], i), &view, &offset)) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "expected tuples of a buffer and an int");
            return NULL;
        }
        ssize_t got = view.len > 0 ? page_cache_fill(fd, view.buf, view.len, offset) : 0;
        PyBuffer_Release(&view);
        if (got < 0)
            break;
        PyObject *count = PyLong_FromSsize_t(got);
        int failed = count == NULL || PyList_Append(args[2], count);
        Py_XDECREF(count);
        if (failed)
            return NULL;
    }
    return none();
}

PyMethodDef many_methods[] = {
    { "plain_ranges", plain_ranges, METH_O,
      "plain_ranges(ranges, /) -> bool: each is a tuple of two ints that a read can have" },
    { "read_many_now", FASTCALL(read_many_now),
      "read_many_now(fd, ranges, results, /): reads on from where the results end, until one is\n"
      "declined" },
    { "plain_buffers", plain_buffers, METH_O,
      "plain_buffers(buffers, /) -> bool: each is a tuple of a writable buffer and an offset" },
    { "readinto_many_now", FASTCALL(readinto_many_now),
      "readinto_many_now(fd, buffers, counts, /): the same into buffers" },
    { NULL, NULL, 0, NULL },
};
