#include "python.h"
#include "batch.h"
#include "batches.h"
#include "calls.h"
#include "kept.h"
#include "../engine/cancel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct batch *batch_new(void)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->list = (struct listing){ 1, 0, b->members, b->serials, b->wanted };
    for (unsigned i = 0; i < BATCH; i++) {
        request_init(&b->requests[i]);
        b->members[i] = &b->requests[i];
    }
    return b;
}

void batch_free(struct batch *b)
{
    wait_give_up(&b->wait, b);
}

int batch_held(struct batch *b)
{
    return atomic_load(&b->wait.holder) != NO_WAITER;
}

/* As aio_cancel, with minus an errno for an error. */
int batch_cancel(struct batch *b, unsigned i)
{
    return request_cancel(b->requests[i].cb.aio_fildes, &b->requests[i]);
}

/* Does in the calling thread what glibc would not do.  The count, or minus an errno. */
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

/* The fields of an Entry of asyncio/descriptors/batch.py are future, op, fd, buffer (bytes, an
 * address or None), nbytes, offset, channel, in this order. */
static int wish(struct wanted *w, struct kept *k, PyObject *entry, PyObject *batch)
{
    PyObject *buffer = PyTuple_GetItem(entry, 3), *channel = PyTuple_GetItem(entry, 6);
    *w = (struct wanted){ .serial = serial_new(), .kept = k };
    if (buffer == NULL || channel == NULL)
        return -1;
    if (int_of(PyTuple_GetItem(entry, 1), &w->op) != 0
        || int_of(PyTuple_GetItem(entry, 2), &w->fd) != 0)
        return -1;
    if (PyBytes_Check(buffer))
        w->buf = PyBytes_AsString(buffer);
    else if (buffer != Py_None)
        w->buf = PyLong_AsVoidPtr(buffer);
    w->nbytes = PyLong_AsSize_t(PyTuple_GetItem(entry, 4));
    w->offset = PyLong_AsLongLong(PyTuple_GetItem(entry, 5));
    if (w->op != LIO_READ) {   /* the exit names what was lost */
        k->file = PyObject_GetAttrString(channel, "name");
        if (k->file == Py_None)
            Py_CLEAR(k->file);
    }
    Py_INCREF(batch);
    k->also = batch;
    return PyErr_Occurred() ? -1 : 0;
}

/* An O_SYNC or O_DSYNC stands alone. */
static int start(struct batch *b, struct bell *bell)
{
    struct wanted *first = &b->wanted[0], whole = { .plan = NULL };
    int error = first->op == O_SYNC || first->op == O_DSYNC
                    ? -request_submit(b->members[0], first) : list_submit(&b->list, false, &whole);
    if (error >= 0)
        wait_post(&b->wait, b->members, b->list.n, bell);   /* else a timer of the loop looks */
    return error;
}

static PyObject *batch_submit(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    struct batch *b = nargs == 4 ? PyLong_AsVoidPtr(args[0]) : NULL;
    Py_ssize_t n = b ? PyList_Size(args[1]) : 0, described = 0;
    struct bell *bell = b ? PyLong_AsVoidPtr(args[2]) : NULL;
    if (PyErr_Occurred() || bell == NULL || n < 1 || n > BATCH) {
        PyErr_SetString(PyExc_TypeError, "expected batch, 1 to 16 entries, bell, keeper");
        return NULL;
    }
    struct kept_block *block = may_submit() ? kept_block_new((size_t)n) : NULL;
    if (block == NULL)
        return NULL;
    while (described < n && !PyErr_Occurred()) {
        struct kept *k = kept_at(block, (size_t)described);
        wish(&b->wanted[described], k, PyList_GetItem(args[1], described), args[3]);
        described++;
    }
    int error = -1;
    if (!PyErr_Occurred()) {
        b->list.n = (size_t)n;
        Py_BEGIN_ALLOW_THREADS
        error = start(b, bell);
        Py_END_ALLOW_THREADS
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (i < described)
            kept_release(b->wanted[i].unnoticed);
        if (error < 0)
            kept_refuse(i < described ? b->wanted[i].kept : kept_at(block, (size_t)i));
    }
    if (error >= 0) {
        b->n = b->left = (unsigned)n;
        memset(b->open, 1, (size_t)n);
    }
    return PyErr_Occurred() ? NULL : PyLong_FromLong(error);
}

static PyObject *batch_abandon(PyObject *self, PyObject *address)
{
    (void)self;
    struct batch *b = PyLong_AsVoidPtr(address);
    if (b == NULL)
        return NULL;
    for (unsigned i = 0; i < b->n; i++)
        kept_abandon(b->members[i]);
    return none();
}

/* Into a list of the caller's, because a returned value is lost when a signal handler raises. */
static PyObject *batch_collect(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    struct batch *b = nargs == 2 ? PyLong_AsVoidPtr(args[0]) : NULL;
    bool done[BATCH];
    void *kept[BATCH];
    if (b == NULL || !PyList_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "expected batch, results");
        return NULL;
    }
    pthread_mutex_lock(&life);
    for (unsigned i = 0; i < b->n; i++) {
        done[i] = b->open[i] && request_over(b->members[i]);
        kept[i] = done[i] ? request_take_kept(b->members[i]) : NULL;
    }
    pthread_mutex_unlock(&life);
    for (unsigned i = 0; i < b->n; i++)
        kept_release(kept[i]);
    for (unsigned i = 0; i < b->n; i++) {
        if (!done[i])
            continue;
        struct request *r = b->members[i];
        Py_ssize_t n = r->error ? -r->error : request_result(r);
        PyObject *pair = Py_BuildValue("In", i, n);
        if (pair == NULL || PyList_Append(args[1], pair) != 0) {
            Py_XDECREF(pair);
            return NULL;
        }
        Py_DECREF(pair);
        b->open[i] = 0;
        b->left--;
    }
    return none();
}

PyMethodDef batch_methods[] = {
    { "batch_submit", FASTCALL(batch_submit),
      "batch_submit(batch, entries, bell, keeper, /) -> int\n\n"
      "0, minus an errno with nothing submitted, or an errno when glibc refused some entries.  The "
      "bell rings when all are over, if there is a thread to wait for that.  The keeper lives "
      "until then." },
    { "batch_collect", FASTCALL(batch_collect),
      "batch_collect(batch, results, /): appends (index, count or minus errno)\n\n"
      "Of what is complete and was not handed out before." },
    { "batch_abandon", batch_abandon, METH_O,
      "batch_abandon(batch, /): nobody will collect; the sweeper notices the ends" },
    { NULL, NULL, 0, NULL },
};
