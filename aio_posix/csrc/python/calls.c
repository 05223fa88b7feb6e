/* The calls of <aio.h> for one request, as aio.py uses them.
 *
 * State: `checked`, whether flight.py has looked that this process may submit.
 *
 * - `life` is taken with the GIL held: its holders never wait for the GIL.  glibc is called
 *   without.
 */
#include "calls.h"
#include "control.h"
#include "describe.h"
#include "watch.h"
#include "../engine/cancel.h"

#include <errno.h>

static atomic_bool checked;

int may_submit(void)
{
    if (atomic_load_explicit(&checked, memory_order_relaxed) && !forked)
        return 1;
    PyObject *result = in_python("aio_posix.flight", "submittable", "()");
    Py_XDECREF(result);
    return result != NULL;
}

PyObject *refused(int error)
{
    PyObject *result = in_python("aio_posix.flight", "refused", "(i)", error);
    Py_XDECREF(result);
    return NULL;
}

static PyObject *start(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct wanted w = { .promise = { NULL, NULL } };
    struct kept_block *block;
    const int64_t began = watch_begins();
    int error = 0, op = nargs == 2 ? (int)PyLong_AsLong(args[1]) : -1;
    (void)self;
    if (op < 0) {
        PyErr_SetString(PyExc_TypeError, "expected aiocb, op");
        return NULL;
    }
    if (!may_submit() || (block = kept_block_new(1)) == NULL)
        return NULL;
    struct kept *k = kept_at(block, 0);
    if (describe(args[0], op, &w, k) != DESCRIBED) {
        w.kept = k;
        describe_drop(&w);
        return NULL;
    }
    struct request *r = k->request;
    request_hold(r);   /* what is kept may be released before glibc's call has returned */
    Py_BEGIN_ALLOW_THREADS
    error = request_submit(r, &w);
    Py_END_ALLOW_THREADS
    kept_release(w.unnoticed);
    if (error)
        describe_drop(&w);
    watch_submission(began, op, &w.serial, 1, error);
    request_release(r);
    return error ? refused(error) : none();
}

/* The word as of now; releases what was kept if the submission is over. */
static uint64_t look(struct request *r)
{
    void *kept = NULL;
    uint64_t word = request_look(r, &kept);
    kept_release(kept);
    return word;
}

static PyObject *error_of(PyObject *self, PyObject *cb)
{
    (void)self;
    struct control *c = control_of(cb);
    int state = c ? state_of(look(c->request)) : -1;
    if (state == COMPLETE && !forked)
        return PyLong_FromLong(c->request->error);
    if (state == IN_FLIGHT && !forked)
        return PyLong_FromLong(EINPROGRESS);
    return c ? in_python("aio_posix.aio", "not_due", "(O)", cb) : NULL;
}

static PyObject *return_of(PyObject *self, PyObject *cb)
{
    void *kept;
    ssize_t result = 0;
    (void)self;
    struct control *c = control_of(cb);
    if (c == NULL)
        return NULL;
    uint64_t word = request_return(c->request, &result, &kept);
    kept_release(kept);
    if (c->told != NULL && c->told != Py_None) {
        PyObject *heard = in_python("aio_posix.flight", "heard", "(O)", c->told);
        Py_XDECREF(heard);
        if (heard == NULL)
            PyErr_WriteUnraisable(cb);
    }
    if (forked || (state_of(word) != COMPLETE && state_of(word) != IN_FLIGHT))
        return in_python("aio_posix.aio", "not_due", "(O)", cb);
    if (state_of(word) == IN_FLIGHT)
        return in_python("aio_posix.aio", "failed", "(Oi)", cb, EINPROGRESS);
    if (result < 0)
        return in_python("aio_posix.aio", "failed", "(Oi)", cb, (int)-result);
    return PyLong_FromSsize_t(result);
}

static PyObject *state(PyObject *self, PyObject *cb)
{
    (void)self;
    struct control *c = control_of(cb);
    return c ? PyLong_FromLong(state_of(look(c->request))) : NULL;
}

static PyObject *address(PyObject *self, PyObject *cb)
{
    (void)self;
    struct control *c = control_of(cb);
    return c ? PyLong_FromVoidPtr(c->request) : NULL;
}

static PyObject *reset(PyObject *self, PyObject *cb)
{
    void *kept = NULL;
    (void)self;
    struct control *c = control_of(cb);
    bool done = c && (atomic_load(&c->request->word) == UNSUBMITTED
                      || (!forked && request_reset(c->request, &kept)));
    kept_release(kept);
    return c ? PyBool_FromLong(done) : NULL;
}

static PyObject *cancel(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    const int64_t began = watch_begins();
    struct control *c = nargs == 2 && args[1] != Py_None ? control_of(args[1]) : NULL;
    int fd = nargs == 2 ? (int)PyLong_AsLong(args[0]) : -1, rc;
    if (PyErr_Occurred())
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    rc = c ? request_cancel(fd, c->request) : fildes_cancel(fd);
    Py_END_ALLOW_THREADS
    uint64_t serial = c ? serial_of(look(c->request)) : 0;
    watch_cancel(began, fd, c ? &serial : NULL, rc);
    return PyLong_FromLong(rc);
}

static PyObject *accept_submissions(PyObject *self, PyObject *yes)
{
    (void)self;
    atomic_store(&checked, PyObject_IsTrue(yes) == 1);
    return none();
}

PyMethodDef call_methods[] = {
    { "start", FASTCALL(start),
      "start(aiocb, op, /) -> None: submits it; op is LIO_READ, LIO_WRITE, O_SYNC or O_DSYNC" },
    { "error", error_of, METH_O, "error(aiocb, /) -> int: what aio_error returns" },
    { "return_", return_of, METH_O, "return_(aiocb, /) -> int: what aio_return returns" },
    { "state", state, METH_O, "state(aiocb, /) -> UNSUBMITTED, IN_FLIGHT, COMPLETE or RETURNED" },
    { "address", address, METH_O, "address(aiocb, /) -> int: where C has its struct aiocb" },
    { "reset", reset, METH_O,
      "reset(aiocb, /) -> bool: as if never submitted; False if it is in flight or watched" },
    { "cancel", FASTCALL(cancel),
      "cancel(fd, aiocb or None, /) -> AIO_CANCELED ..., or minus an errno" },
    { "accept_submissions", accept_submissions, METH_O,
      "accept_submissions(bool, /): False: the next one asks flight.submittable() first" },
    { NULL, NULL, 0, NULL },
};
