/* Writes of some files, one after another, and at the end a close.
 *
 * - Whoever asks keeps each descriptor open until the job is done.
 * - A write goes on until all is written or it fails.  A failed one does not keep the others from
 *   their turn.
 */
#include "jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct writing {
    int fd, error;
    int64_t at;                        /* or -1, where the system has the position */
    size_t done;
    Py_buffer data;
};

struct writes {
    struct python_job base;
    struct writing *all;
    size_t n, room;
    int closes, error;                 /* the descriptor to close, or -1 */
};

static void write_all(struct writing *w)
{
    const char *start = w->data.buf;
    while (w->done < (size_t)w->data.len) {
        size_t left = (size_t)w->data.len - w->done;
        ssize_t n = w->at < 0 ? write(w->fd, start + w->done, left)
            : pwrite(w->fd, start + w->done, left, w->at + (int64_t)w->done);
        if (n >= 0) {
            w->done += (size_t)n;
        } else if (errno != EINTR) {
            w->error = errno;
            return;
        }
    }
}

static void perform(struct job *job)
{
    struct writes *self = (struct writes *)whole(job);
    for (size_t i = 0; i < self->n; i++)
        write_all(&self->all[i]);
    if (self->closes >= 0 && close(self->closes) != 0 && errno != EINTR)
        self->error = errno;           /* after EINTR it is closed on Linux */
}

static PyObject *writes_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    PyObject *self = job_new(type, args, perform);
    if (self != NULL)
        ((struct writes *)self)->closes = -1;
    return self;
}

static void writes_dealloc(PyObject *self)
{
    struct writes *w = (struct writes *)self;
    for (size_t i = 0; i < w->n; i++)
        PyBuffer_Release(&w->all[i].data);
    free(w->all);
    job_dealloc(self);
}

/* The place, -1 when the job is in a line already, or -2 with an exception. */
static Py_ssize_t add(struct writes *w, int fd, PyObject *data, int64_t at)
{
    if (atomic_load(&w->base.job.state) != NEW)
        return -1;
    if (w->n == w->room) {
        size_t room = w->room ? 2 * w->room : 1;
        struct writing *all = realloc(w->all, room * sizeof *all);
        if (all == NULL) {
            PyErr_NoMemory();
            return -2;
        }
        w->all = all;
        w->room = room;
    }
    struct writing *one = &w->all[w->n];
    *one = (struct writing){ .fd = fd, .at = at };
    if (PyObject_GetBuffer(data, &one->data, PyBUF_SIMPLE) != 0)
        return -2;
    return (Py_ssize_t)w->n++;
}

static PyObject *writes_add(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    int fd;
    if (nargs != 3) {
        PyErr_SetString(PyExc_TypeError, "expected fd, data, offset");
        return NULL;
    }
    int64_t at = PyLong_AsLongLong(args[2]);
    if (int_of(args[0], &fd) != 0 || PyErr_Occurred())
        return NULL;
    Py_ssize_t place;
    LOCKED(self, place = add((struct writes *)self, fd, args[1], at));
    return place >= -1 ? PyLong_FromSsize_t(place) : NULL;
}

static PyObject *writes_result(PyObject *self, PyObject *number)
{
    struct writes *w = (struct writes *)self;
    Py_ssize_t i = PyLong_AsSsize_t(number);
    if (PyErr_Occurred())
        return NULL;
    if (i < 0 || (size_t)i >= w->n || atomic_load(&w->base.job.state) != DONE) {
        PyErr_SetString(PyExc_IndexError, "no such write is done");
        return NULL;
    }
    return Py_BuildValue("ni", (Py_ssize_t)w->all[i].done, w->all[i].error);
}

static PyMethodDef writes_methods[] = {
    { "add", FASTCALL(writes_add),

      "add(fd, data, offset, /) -> its place, or -1 if they are in a line already\n\n"
      "The offset -1 is the position of the system." },
    { "result", writes_result, METH_O, "result(i, /) -> (written, errno), once it is done" },
    { NULL, NULL, 0, NULL },
};
static PyMemberDef writes_members[] = {
    { "closes", T_INT, offsetof(struct writes, closes), 0, NULL },
    { "error", T_INT, offsetof(struct writes, error), READONLY, NULL },
    { NULL, 0, 0, 0, NULL },
};

int writes_start(PyObject *module)
{
    PyType_Slot slots[] = {
        function_slot(Py_tp_new, (void (*)(void))writes_new),
        function_slot(Py_tp_dealloc, (void (*)(void))writes_dealloc),
        { Py_tp_methods, writes_methods },
        { Py_tp_members, writes_members },
        { 0, NULL },
    };
    return job_type(module, "aio_posix._calls.Writes", sizeof(struct writes), slots) ? 0 : -1;
}
