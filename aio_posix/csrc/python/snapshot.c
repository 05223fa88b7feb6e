#include "snapshot.h"
#include "kept.h"
#include "../engine/list.h"

#include <stdlib.h>

struct seen {
    uint64_t serial;
    size_t nbytes;
    off_t offset;
    PyObject *file;   /* owned, or NULL if a descriptor is all there is */
    int op, fd;
};

/* Under life, where Python may allocate nothing, because a collection could submit. */
static size_t look_round(struct seen *seen, size_t room)
{
    size_t n = 0;
    struct request *r = request_newest(), *older;
    for (; r != NULL; r = older) {
        older = request_older(r);
        if (request_over(r) || n++ >= room)
            continue;
        const struct kept *k = r->kept;
        seen[n - 1] = (struct seen){
            serial_of(atomic_load(&r->word)), r->cb.aio_nbytes, r->cb.aio_offset,
            k ? k->file : NULL, r->op, r->cb.aio_fildes,
        };
        Py_XINCREF(seen[n - 1].file);
    }
    return n;
}

static PyObject *in_flight(PyObject *self, PyObject *unused)
{
    struct seen *seen = NULL, *more;
    size_t room = 0, n = forked ? 0 : 64;   /* a child has none, and must not wait for a lock */
    (void)self, (void)unused;
    while (n > room) {
        for (size_t i = 0; i < room; i++)
            Py_XDECREF(seen[i].file);
        room = n + n / 2;
        if ((more = realloc(seen, room * sizeof *seen)) == NULL) {
            free(seen);
            return PyErr_NoMemory();
        }
        seen = more;
        pthread_mutex_lock(&life);
        n = look_round(seen, room);
        pthread_mutex_unlock(&life);
    }
    PyObject *all = PyList_New(0);
    for (size_t i = 0; i < n; i++) {
        const struct seen *s = &seen[i];
        PyObject *one = all == NULL ? NULL : Py_BuildValue(
            "KiiOnL", (unsigned long long)s->serial, s->op, s->fd, s->file ? s->file : Py_None,
            (Py_ssize_t)s->nbytes, (long long)s->offset);
        if (all != NULL && (one == NULL || PyList_Append(all, one) != 0))
            Py_CLEAR(all);
        Py_XDECREF(one);
        Py_XDECREF(s->file);
    }
    free(seen);
    return all;
}

/* The newest write or sync in flight, held, or NULL if there is none. */
static struct request *newest_write(void)
{
    pthread_mutex_lock(&life);
    struct request *r = request_newest(), *older;
    for (; r != NULL; r = older) {
        older = request_older(r);
        if (r->op != LIO_READ && !request_over(r)) {
            request_hold(r);
            break;
        }
    }
    pthread_mutex_unlock(&life);
    return r;
}

static PyObject *await_write(PyObject *self, PyObject *milliseconds)
{
    (void)self;
    long ms = PyLong_AsLong(milliseconds);
    struct request *r = PyErr_Occurred() || forked ? NULL : newest_write();
    if (r == NULL)
        return PyErr_Occurred() ? NULL : PyBool_FromLong(0);
    Py_BEGIN_ALLOW_THREADS
    list_suspend(&r, 1, ms * (int64_t)1000000);
    request_release(r);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(1);
}

static PyObject *owed(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return PyLong_FromLong(forked ? 0 : notices_open());
}

static PyObject *callback_of_a_write_due(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return PyBool_FromLong(!forked && notices_of_writes());
}

static PyObject *counts(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    if (!forked)
        pthread_mutex_lock(&life);
    const struct counters c = counters;
    if (!forked)
        pthread_mutex_unlock(&life);
    return Py_BuildValue("KKKKK", c.submitted - c.completed, c.submitted, c.completed, c.cancelled,
                         c.late);
}

static PyObject *reap(PyObject *self, PyObject *unused)
{
    void *kept;
    (void)self, (void)unused;
    pthread_mutex_lock(&life);
    requests_settle();
    pthread_mutex_unlock(&life);
    while ((kept = request_reap()) != NULL)
        kept_release(kept);
    return none();
}

static PyObject *kept(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return PyLong_FromLong(kept_count());
}

PyMethodDef snapshot_methods[] = {
    { "in_flight", in_flight, METH_NOARGS,
      "in_flight() -> list of (serial, op, fd, file or None, nbytes, offset), the newest first" },
    { "await_write", await_write, METH_O,
      "await_write(milliseconds, /) -> bool: waits for the newest write or sync; False: none" },
    { "owed", owed, METH_NOARGS, "owed() -> int: notifications that have not been handed out" },
    { "callback_of_a_write_due", callback_of_a_write_due, METH_NOARGS,
      "callback_of_a_write_due() -> bool" },
    { "count", counts, METH_NOARGS,
      "count() -> in flight (as far as anybody has looked), submitted, completed, cancelled, "
      "notifications delivered late" },
    { "reap", reap, METH_NOARGS, "reap(): notices what is over and unattended, as a sweep does" },
    { "kept", kept, METH_NOARGS, "kept() -> int: submissions that something is still kept for" },
    { NULL, NULL, 0, NULL },
};
