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

/* Where the memory of an entry is: what a watcher knows its system call by. */
void *batch_memory(struct batch *b, unsigned i)
{
    return (void *)b->requests[i].cb.aio_buf;
}

/* As aio_cancel, with minus an errno for an error. */
int batch_cancel(struct batch *b, unsigned i)
{
    struct request *r = &b->requests[i];
    return b->refused ? AIO_ALLDONE : request_cancel(r->cb.aio_fildes, r);
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

/* The bell rings when the list is over, if there is a thread to wait for that. */
void batch_post(struct batch *b, struct bell *bell)
{
    wait_post(&b->wait, b->members, b->list.n, bell);
}

/* The places in an Entry of asyncio/descriptors/batch.py. */
enum { FUTURE, OP, FD, BUFFER, AT, NBYTES, OFFSET, CHANNEL, FIELDS };

static bool is_ours(PyObject *entry, int op)
{
    return op == LIO_READ && PyTuple_GetItem(entry, BUFFER) == Py_None;
}

/* Exports what the entry reads into or writes from.  A read without a buffer gets new bytes, in
 * which there is room for the alignment that its `at` asks for. */
static int export(struct kept *k, PyObject *entry, int op, Py_ssize_t end)
{
    PyObject *buffer = PyTuple_GetItem(entry, BUFFER);
    if (is_ours(entry, op)) {
        buffer = PyBytes_FromStringAndSize(NULL, end);
        int rc = buffer ? PyObject_GetBuffer(buffer, &k->buffer, PyBUF_SIMPLE) : -1;
        Py_XDECREF(buffer);
        return rc;
    }
    /* bytes to be read into were made for that, and nobody has seen them */
    bool writes = op == LIO_READ && !PyBytes_Check(buffer);
    if (PyObject_GetBuffer(buffer, &k->buffer, writes ? PyBUF_WRITABLE : PyBUF_SIMPLE) != 0)
        return -1;
    if (end <= k->buffer.len)
        return 0;
    PyErr_SetString(PyExc_ValueError, "not inside the buffer");
    return -1;
}

/* From where in the export the request goes. */
static char *start_of(const struct kept *k, PyObject *entry, int op, Py_ssize_t at)
{
    char *buf = k->buffer.buf;
    return is_ours(entry, op) && at > 0 ? buf + -(uintptr_t)buf % (size_t)at : buf + at;
}

static int wish(struct wanted *w, struct kept *k, PyObject *entry, PyObject *batch)
{
    *w = (struct wanted){ .serial = serial_new(), .kept = k };
    if (!PyTuple_Check(entry) || PyTuple_Size(entry) < FIELDS) {
        PyErr_SetString(PyExc_TypeError, "expected an Entry");
        return -1;
    }
    if (int_of(PyTuple_GetItem(entry, OP), &w->op) != 0
        || int_of(PyTuple_GetItem(entry, FD), &w->fd) != 0)
        return -1;
    Py_ssize_t at = PyLong_AsSsize_t(PyTuple_GetItem(entry, AT));
    Py_ssize_t nbytes = PyLong_AsSsize_t(PyTuple_GetItem(entry, NBYTES));
    w->offset = PyLong_AsLongLong(PyTuple_GetItem(entry, OFFSET));
    if (PyErr_Occurred())
        return -1;
    if (w->op == LIO_READ || w->op == LIO_WRITE) {
        if (export(k, entry, w->op, at + nbytes) != 0)
            return -1;
        w->buf = start_of(k, entry, w->op, at);
        w->nbytes = (size_t)nbytes;
    }
    if (w->op != LIO_READ) {   /* the exit names what was lost */
        k->file = PyObject_GetAttrString(PyTuple_GetItem(entry, CHANNEL), "name");
        if (k->file == NULL)
            return -1;
        if (k->file == Py_None)
            Py_CLEAR(k->file);
    }
    Py_INCREF(batch);
    k->also = batch;
    return 0;
}

/* An O_SYNC or O_DSYNC stands alone. */
static int start(struct batch *b)
{
    struct wanted *first = &b->wanted[0], whole = { .plan = NULL };
    return first->op == O_SYNC || first->op == O_DSYNC
               ? -request_submit(b->members[0], first) : list_submit(&b->list, false, &whole);
}

/* Moves n entries from the line to the list; how many those are, fewer with an exception. */
static Py_ssize_t move(PyObject *line, PyObject *entries, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *entry = PySequence_GetItem(line, 0);
        int rc = entry ? PyList_Append(entries, entry) : -1;
        Py_XDECREF(entry);
        if (rc != 0 || PySequence_DelItem(line, 0) != 0)
            return rc == 0 ? i + 1 : i;
    }
    return n;
}

/* 0, minus an errno with nothing submitted, or an errno when glibc refused some. */
static int submit(struct batch *b, PyObject *entries, PyObject *keeper)
{
    Py_ssize_t n = PyList_Size(entries), described = 0;
    struct kept_block *block = may_submit() ? kept_block_new((size_t)n) : NULL;
    if (block == NULL)
        return -1;
    while (described < n && !PyErr_Occurred()) {
        struct kept *k = kept_at(block, (size_t)described);
        wish(&b->wanted[described], k, PyList_GetItem(entries, described), keeper);
        described++;
    }
    int error = -1;
    if (!PyErr_Occurred()) {
        b->list.n = (size_t)n;
        Py_BEGIN_ALLOW_THREADS
        error = start(b);
        Py_END_ALLOW_THREADS
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (i < described)
            kept_release(b->wanted[i].unnoticed);
        if (error < 0)
            kept_refuse(i < described ? b->wanted[i].kept : kept_at(block, (size_t)i));
    }
    return error;
}

/* A signal handler finds each entry in the line or in the batch, for it cannot run in here. */
static PyObject *batch_submit(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    struct batch *b = nargs == 5 ? PyLong_AsVoidPtr(args[0]) : NULL;
    Py_ssize_t n = b ? PyLong_AsSsize_t(args[3]) : 0;
    if (PyErr_Occurred() || n < 1 || n > BATCH || !PyList_Check(args[1])
        || PyList_Size(args[1]) != 0) {
        PyErr_SetString(PyExc_TypeError, "expected batch, [], line, 1 to 16, keeper");
        return NULL;
    }
    n = move(args[2], args[1], n);
    b->refused = PyErr_Occurred() || submit(b, args[1], args[4]) < 0;
    b->n = b->left = (unsigned)n;
    memset(b->open, 1, (size_t)n);
    return PyErr_Occurred() ? NULL : none();
}

static PyObject *batch_abandon(PyObject *self, PyObject *address)
{
    (void)self;
    struct batch *b = PyLong_AsVoidPtr(address);
    if (b == NULL)
        return NULL;
    for (unsigned i = 0; i < b->n && !b->refused; i++)
        kept_abandon(b->members[i]);
    return none();
}

/* What a complete entry gives to its future: bytes, a count, or minus an errno. */
static PyObject *result_of(struct request *r, bool refused, PyObject *entry, struct kept *k)
{
    Py_ssize_t n = refused ? -EAGAIN : r->error ? -r->error : request_result(r);
    if (n < 0 || !PyTuple_Check(entry) || !is_ours(entry, r->op))
        return PyLong_FromSsize_t(n);
    if (k == NULL)
        return PyLong_FromLong(-ENOMEM);   /* there was none for the result when it was taken */
    if (n < k->buffer.len)
        return PyBytes_FromStringAndSize((const char *)r->cb.aio_buf, n);
    Py_INCREF(k->buffer.obj);
    return k->buffer.obj;
}

/* The pair (entry, result) goes to a list of the caller's: what is returned is lost when a signal
 * handler raises.  None takes the entry's place. */
static int hand_out(struct batch *b, unsigned i, struct kept *k, PyObject *entries, PyObject *found)
{
    PyObject *entry = PyList_GetItem(entries, i);
    if (entry == NULL)
        return -1;
    PyObject *result = result_of(b->members[i], b->refused, entry, k);
    PyObject *pair = result ? PyTuple_Pack(2, entry, result) : NULL;
    int rc = pair ? PyList_Append(found, pair) : -1;
    Py_XDECREF(result);
    Py_XDECREF(pair);
    if (rc != 0)
        return -1;
    Py_INCREF(Py_None);
    PyList_SetItem(entries, i, Py_None);
    b->open[i] = 0;
    b->left--;
    return 0;
}

static PyObject *batch_collect(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    struct batch *b = nargs == 4 ? PyLong_AsVoidPtr(args[0]) : NULL;
    bool done[BATCH];
    void *kept[BATCH];
    int rc = 0;
    if (b == NULL || !PyList_Check(args[1]) || !PyList_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "expected batch, entries, found, whole");
        return NULL;
    }
    for (unsigned i = b->n; args[3] == Py_True && !b->refused && i-- > 0;)
        if (b->open[i] && request_pending(b->members[i]))
            return none();
    pthread_mutex_lock(&life);
    for (unsigned i = 0; i < b->n; i++) {
        done[i] = b->open[i] && (b->refused || request_over(b->members[i]));
        kept[i] = done[i] && !b->refused ? request_take_kept(b->members[i]) : NULL;
    }
    pthread_mutex_unlock(&life);
    for (unsigned i = 0; i < b->n && rc == 0; i++)
        if (done[i])
            rc = hand_out(b, i, kept[i], args[1], args[2]);
    for (unsigned i = 0; i < b->n; i++)
        kept_release(kept[i]);
    return rc == 0 ? none() : NULL;
}

PyMethodDef batch_methods[] = {
    { "batch_submit", FASTCALL(batch_submit),
      "batch_submit(batch, entries, line, n, keeper, /)\n\n"
      "Moves n entries from the line to the empty list, and submits them.  What glibc does not "
      "take counts as complete with EAGAIN.  The keeper lives until all are over." },
    { "batch_collect", FASTCALL(batch_collect),
      "batch_collect(batch, entries, found, whole, /): appends (entry, bytes, count or minus errno)"
      "\n\nOf what is complete and was not handed out before.  With whole, nothing comes before "
      "the whole list is complete." },
    { "batch_abandon", batch_abandon, METH_O,
      "batch_abandon(batch, /): nobody will collect; the sweeper notices the ends" },
    { NULL, NULL, 0, NULL },
};
