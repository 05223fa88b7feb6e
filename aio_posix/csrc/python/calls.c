/* The calls of <aio.h> for one request, as aio.py uses them.
 *
 * State: `checked` says whether flight.py has looked that this process may submit.
 *
 * - `life` is taken with the GIL held, because its holders never wait for the GIL.  glibc is
 *   called without.
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
    int error = 0, op;
    (void)self;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "expected aiocb, op");
        return NULL;
    }
    if (int_of(args[1], &op) != 0)
        return NULL;
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

/* As request_look().  Releases what was kept if the submission is over.  That may run code which
 * submits it again. */
static uint64_t look(struct request *r, ssize_t *result)
{
    void *kept;
    uint64_t word = request_look(r, result, &kept);
    while (kept != NULL) {
        kept_release(kept);
        kept = NULL;
        if (atomic_load(&r->word) != word)
            word = request_look(r, result, &kept);
    }
    return word;
}

static PyObject *error_of(PyObject *self, PyObject *cb)
{
    (void)self;
    struct control *c = control_of(cb);
    ssize_t result = 0;
    int state = c ? state_of(look(c->request, &result)) : -1;
    if (state == COMPLETE && !forked)
        return PyLong_FromLong(result < 0 ? -(long)result : 0);
    if (state == IN_FLIGHT && !forked)
        return PyLong_FromLong(EINPROGRESS);
    return c ? in_python("aio_posix.aio", "not_due", "(O)", cb) : NULL;
}

/* The answer of aio_return to a request that is complete, a count or NULL with its OSError.  What
 * else comes in between (no memory, a signal handler that raises) leaves the result where it is,
 * and *given is false. */
static PyObject *answer(struct control *c, ssize_t result, bool *given)
{
    PyObject *cb = (PyObject *)c, *signalled = NULL, *done = NULL;
    *given = false;
    LOCKED(cb, { signalled = c->signalled; Py_XINCREF(signalled); });
    if (signalled == NULL || signalled == Py_None
        || (done = in_python("aio_posix.signalled", "returned", "(O)", signalled)) != NULL) {
        Py_XDECREF(done);
        done = result < 0 ? in_python("aio_posix.aio", "failed", "(Oi)", cb, (int)-result)
                          : PyLong_FromSsize_t(result);
        *given = done != NULL || (result < 0 && PyErr_ExceptionMatches(PyExc_OSError));
    }
    Py_XDECREF(signalled);
    return done;
}

static PyObject *return_of(PyObject *self, PyObject *cb)
{
    void *kept;
    ssize_t result = 0;
    bool given = false;
    (void)self;
    struct control *c = control_of(cb);
    if (c == NULL)
        return NULL;
    uint64_t word = look(c->request, &result);
    if (state_of(word) == IN_FLIGHT && !forked)
        return in_python("aio_posix.aio", "failed", "(Oi)", cb, EINPROGRESS);
    if (state_of(word) != COMPLETE || forked)
        return in_python("aio_posix.aio", "not_due", "(O)", cb);
    PyObject *number = answer(c, result, &given);
    if (!given)
        return number;
    uint64_t now = request_return(c->request, &result, &kept);
    if (now == word)
        return number;
    Py_XDECREF(number);   /* another thread was faster */
    PyErr_Clear();
    kept_release(kept);
    if (state_of(now) == COMPLETE && result >= 0)
        return PyLong_FromSsize_t(result);
    if (state_of(now) == COMPLETE || state_of(now) == IN_FLIGHT)
        return in_python("aio_posix.aio", "failed", "(Oi)", cb,
                         state_of(now) == COMPLETE ? (int)-result : EINPROGRESS);
    return in_python("aio_posix.aio", "not_due", "(O)", cb);
}

static PyObject *state(PyObject *self, PyObject *cb)
{
    (void)self;
    ssize_t result;
    struct control *c = control_of(cb);
    return c ? PyLong_FromLong(state_of(look(c->request, &result))) : NULL;
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
    int fd, rc;
    ssize_t result;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "expected fd, aiocb or None");
        return NULL;
    }
    struct control *c = args[1] != Py_None ? control_of(args[1]) : NULL;
    if (PyErr_Occurred() || int_of(args[0], &fd) != 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    rc = c ? request_cancel(fd, c->request) : fildes_cancel(fd);
    Py_END_ALLOW_THREADS
    uint64_t serial = c ? serial_of(look(c->request, &result)) : 0;
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
