/* A turn of an event loop in one call: many requests in, many results out, few Python operations for each.
 *
 * - A batch's memory is given back by Python only when all its results are handed out and no waiter holds it, so
 *   nothing of ours or of glibc's refers to it any more.
 * - What the entries refer to (buffers, descriptors) is kept alive by Python until then.
 * - `life` is taken with the GIL held in batch_collect: its holders never wait for the GIL.
 */
#include "python.h"
#include "batch.h"
#include "now.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern PyMethodDef now_methods[], openfile_methods[], opening_methods[];

struct batch *batch_new(unsigned room)
{
    struct batch *b = calloc(1, sizeof *b + room * (sizeof(struct request) + sizeof(struct request *) + 1));
    if (b == NULL)
        return NULL;
    b->room = room;
    b->requests = (struct request *)(void *)(b + 1);
    b->members = (struct request **)(void *)(b->requests + room);
    b->open = (unsigned char *)(b->members + room);
    for (unsigned i = 0; i < room; i++)
        b->members[i] = &b->requests[i];
    return b;
}

void batch_free(struct batch *b)
{
    wait_give_up(&b->wait, b);
}

/* 1 while a waiter may look at its requests. */
int batch_held(struct batch *b)
{
    return atomic_load(&b->wait.holder) != NO_WAITER;
}

/* As aio_cancel: a constant, or minus an errno. */
int batch_cancel(struct batch *b, unsigned i)
{
    return request_cancel(b->requests[i].cb.aio_fildes, &b->requests[i]);
}

struct request *batch_request(struct batch *b, unsigned i)
{
    return &b->requests[i];
}

/* What glibc would not do, in the calling thread: the count, or minus an errno. */
int64_t perform(int op, int fd, void *buf, size_t nbytes, int64_t offset)
{
    ssize_t n;
    do
        n = op == LIO_READ ? pread(fd, buf, nbytes, offset)
            : op == LIO_WRITE ? pwrite(fd, buf, nbytes, offset)
            : op == O_SYNC ? fsync(fd) : fdatasync(fd);
    while (n == -1 && errno == EINTR);
    return n == -1 ? -errno : n;
}

/* One (anything, op, fd, buffer, nbytes, offset, ...); buffer: bytes, an address or None. */
static int wish(struct wanted *w, PyObject *entry, PyObject *serials)
{
    memset(w, 0, sizeof *w);
    PyObject *buffer = PyTuple_GetItem(entry, 3), *serial = PyIter_Next(serials);
    if (buffer == NULL || serial == NULL)
        return -1;
    w->serial = PyLong_AsUnsignedLongLong(serial);
    Py_DECREF(serial);
    w->op = (int)PyLong_AsLong(PyTuple_GetItem(entry, 1));
    w->fd = (int)PyLong_AsLong(PyTuple_GetItem(entry, 2));
    if (PyBytes_Check(buffer))
        w->buf = PyBytes_AsString(buffer);
    else if (buffer != Py_None)
        w->buf = PyLong_AsVoidPtr(buffer);
    w->nbytes = PyLong_AsSize_t(PyTuple_GetItem(entry, 4));
    w->offset = PyLong_AsLongLong(PyTuple_GetItem(entry, 5));
    w->notice = NO_NOTICE;
    return PyErr_Occurred() ? -1 : 0;
}

/* batch_submit(batch, entries, serials, bell) -> int
 * As list_submit: 0, minus an errno with nothing submitted, or an errno when glibc refused some entries.
 * An O_SYNC or O_DSYNC stands alone.  The bell rings when all is complete, if there is a thread to wait for that. */
static PyObject *batch_submit(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    struct wanted wanted[BATCH];
    if (nargs != 4) {
        PyErr_SetString(PyExc_TypeError, "expected batch, entries, serials, bell");
        return NULL;
    }
    struct batch *b = PyLong_AsVoidPtr(args[0]);
    Py_ssize_t n = PyList_Size(args[1]);
    struct bell *bell = PyLong_AsVoidPtr(args[3]);
    if (PyErr_Occurred())
        return NULL;
    if (n < 1 || n > (Py_ssize_t)b->room || n > BATCH) {
        PyErr_SetString(PyExc_ValueError, "more entries than the batch has room for");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++)
        if (wish(&wanted[i], PyList_GetItem(args[1], i), args[2]) != 0)
            return NULL;
    int error;
    Py_BEGIN_ALLOW_THREADS
    if (wanted[0].op == O_SYNC || wanted[0].op == O_DSYNC)
        error = -request_submit(b->members[0], &wanted[0]);
    else
        error = list_submit(b->members, wanted, (size_t)n, PIECE, wanted[0].serial, NULL, NO_NOTICE);
    if (error >= 0)
        wait_post(&b->wait, b->members, (size_t)n, bell);   /* else a timer of the loop looks */
    Py_END_ALLOW_THREADS
    if (error >= 0) {
        b->n = b->left = (unsigned)n;
        memset(b->open, 1, (size_t)n);
    }
    return PyLong_FromLong(error);
}

/* batch_collect(batch) -> list of (index, count or minus errno): what is complete and was not handed out before */
static PyObject *batch_collect(PyObject *self, PyObject *address)
{
    (void)self;
    struct batch *b = PyLong_AsVoidPtr(address);
    unsigned char done[BATCH];
    if (b == NULL)
        return NULL;
    PyObject *out = PyList_New(0);
    if (out == NULL)
        return NULL;
    pthread_mutex_lock(&life);
    for (unsigned i = 0; i < b->n; i++)
        done[i] = b->open[i] && request_settle(b->members[i], atomic_load(&b->members[i]->word) >> 2);
    pthread_mutex_unlock(&life);
    for (unsigned i = 0; i < b->n; i++) {
        if (!done[i])
            continue;
        struct request *r = b->members[i];
        PyObject *pair = Py_BuildValue("In", i, (Py_ssize_t)(r->error ? -r->error : request_result(r)));
        if (pair == NULL || PyList_Append(out, pair) != 0) {
            Py_XDECREF(pair);
            Py_DECREF(out);
            return NULL;
        }
        Py_DECREF(pair);
        b->open[i] = 0;
        b->left--;
    }
    return out;
}

static PyMethodDef batch_methods[] = {
    { "batch_submit", (PyCFunction)(void (*)(void))batch_submit, METH_FASTCALL, NULL },
    { "batch_collect", batch_collect, METH_O, NULL },
    { NULL, NULL, 0, NULL },
};

/* Gives the module the functions that take and return Python objects: 0, or -1. */
int batch_start(const char *module_name)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *module = PyImport_ImportModule(module_name);
    int rc = module == NULL || PyModule_AddFunctions(module, now_methods) != 0
             || PyModule_AddFunctions(module, opening_methods) != 0
             || PyModule_AddFunctions(module, openfile_methods) != 0
             || PyModule_AddFunctions(module, batch_methods) != 0
             || waiters_start() != 0 ? -1 : 0;
    Py_XDECREF(module);
    PyErr_Clear();
    PyGILState_Release(gil);
    return rc;
}
