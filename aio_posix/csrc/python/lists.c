/* Lists of aiocbs.
 *
 * - A list is described as a whole before the engine sees any of it.
 * - A wait is cut into slices.  Between them signal handlers run, and one that raises ends the
 *   wait, not the requests.  So a signal that came just before a slice began is noticed after
 *   that slice.
 */
#include "lists.h"
#include "calls.h"
#include "control.h"
#include "describe.h"
#include "promises.h"
#include "watch.h"
#include "../engine/list.h"

#include <errno.h>
#include <time.h>

enum {
    SLICE_MS = 500,
    LONG_SLICE_MS = 10,   /* of a list that can only be watched piece by piece */
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

/* Describes the entries, or NULL with an exception and nothing kept. */
static struct listing *describe_all(PyObject *cbs)
{
    Py_ssize_t n = PyList_Size(cbs);
    struct listing *l = n < 0 ? NULL : listing_new((size_t)n, sizeof(struct wanted));
    struct kept_block *block = l ? kept_block_new((size_t)n) : NULL;
    size_t used = 0;
    Py_ssize_t i = 0;
    if (l == NULL && n >= 0)
        PyErr_NoMemory();
    for (; block != NULL && i < n; i++) {
        PyObject *cb = PyList_GetItem(cbs, i);   /* nobody else has this list */
        struct wanted *w = &l->wanted[used];
        struct kept *k = kept_at(block, (size_t)i);
        *w = (struct wanted){ .kept = k };
        enum described d = cb == Py_None ? NOTHING_TO_DO : describe(cb, OWN_OPCODE, w, k);
        if (d == DESCRIBED) {
            l->requests[used++] = k->request;
            request_hold(k->request);
            l->n = used;
            continue;
        }
        describe_drop(w);
        if (d == FAILED)
            break;
    }
    if (block != NULL && i == n)
        return l;
    for (size_t u = 0; u < used; u++)
        describe_drop(&l->wanted[u]);
    for (i++; block != NULL && i < n; i++)
        kept_refuse(kept_at(block, (size_t)i));
    listing_release(l);
    return NULL;
}

static void notice_ends(struct request **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        kept_notice_end(list[i]);
}

/* 0, or -1 with an exception of a signal handler. */
static int wait_for_all(struct listing *l)
{
    size_t n = l->n;
    while ((n = list_left(l->requests, l->serials, n)) > 0) {
        /* from the end, because the requests of one descriptor complete in their order */
        Py_BEGIN_ALLOW_THREADS
        list_suspend(l->requests + n - 1, 1, SLICE_MS * (int64_t)1000000);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() != 0)
            return -1;
    }
    return 0;
}

/* Submits.  0, glibc's errno, or -1 with an exception and nothing submitted. */
static int submit(struct listing *l, bool waits, PyObject *sig, PyObject *value)
{
    struct wanted whole = { .plan = NULL };
    PyObject *also = NULL;
    int error = -1;
    if (describe_notification(sig, value, NULL, &whole, &also) == 0) {
        for (size_t i = 0; i < l->n; i++) {
            struct kept *k = l->wanted[i].kept;
            Py_XINCREF(also);
            k->of_list = also;
            plan_hold(whole.plan);
            k->plan_of_list = whole.plan;
            l->wanted[i].unattended |= also != NULL;
        }
        if (also != NULL && l->n == 0)   /* no entry keeps what the signal stands for */
            Py_XDECREF(in_python("aio_posix.signalled", "unheard", "(O)", also));
        if (!PyErr_Occurred()) {
            Py_BEGIN_ALLOW_THREADS
            error = list_submit(l, waits, &whole);
            Py_END_ALLOW_THREADS
        }
    }
    if (error >= 0)
        for (size_t i = 0; i < l->n; i++)
            kept_release(l->wanted[i].unnoticed);
    else
        promise_release(whole.promise);
    plan_release(whole.plan);
    Py_XDECREF(also);
    if (error < 0 && !PyErr_Occurred()) {
        if (error == -EEXIST)
            PyErr_SetString(PyExc_ValueError, "a request is listed twice");
        else
            refused(-error);
    }
    return error < 0 ? -1 : error;
}

static PyObject *listio(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    if (nargs != 4 || !PyList_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "expected a list of aiocbs, waits, sigevent, value");
        return NULL;
    }
    const int64_t began = watch_begins();
    bool waits = PyObject_IsTrue(args[1]) == 1, failed = false;
    struct listing *l = may_submit() ? describe_all(args[0]) : NULL;
    if (l == NULL)
        return NULL;
    int error = submit(l, waits, args[2], args[3]);
    if (error < 0) {
        struct aside a = put_aside();
        for (size_t i = 0; i < l->n; i++)
            describe_drop(&l->wanted[i]);
        take_up(a);
    } else if (waits) {
        if (wait_for_all(l) == 0)
            for (size_t i = 0; i < l->n; i++)
                failed |= l->requests[i]->error != 0;
        struct aside a = put_aside();
        notice_ends(l->requests, l->n);
        take_up(a);
    }
    watch_submission(began, LIO_NOP, l->serials, l->n, error < 0 ? EINVAL : error);
    listing_release(l);
    if (PyErr_Occurred())
        return NULL;
    return PyLong_FromLong(waits ? (failed ? EIO : 0) : error);
}

/* Enters the requests of a list, which lives as long as the caller waits.  How many are in flight,
 * or -1 with an exception. */
static Py_ssize_t watch_all(PyObject *cbs, struct listing *l)
{
    Py_ssize_t n = PyList_Size(cbs), flying = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        void *kept = NULL;
        ssize_t result;
        struct control *c = control_of(PyList_GetItem(cbs, i));
        if (c == NULL)
            return -1;
        uint64_t word = atomic_load(&c->request->word);
        if (!request_pending(c->request))
            word = request_look(c->request, &result, &kept);
        kept_release(kept);
        l->requests[i] = c->request;
        l->serials[i] = serial_of(word);
        if (state_of(word) != IN_FLIGHT && state_of(word) != COMPLETE) {
            PyObject *result = in_python("aio_posix.aio", "not_due", "(O)", (PyObject *)c);
            Py_XDECREF(result);
            return -1;
        }
        flying += state_of(word) == IN_FLIGHT;
    }
    return flying;
}

static PyObject *suspend(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    if (nargs != 2 || !PyList_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "expected a list of aiocbs, nanoseconds");
        return NULL;
    }
    size_t n = (size_t)PyList_Size(args[0]);
    int64_t limit = PyLong_AsLongLong(args[1]);
    struct listing *l = PyErr_Occurred() ? NULL : listing_new(n, 0);
    if (l == NULL)
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    const int64_t slice = (n <= PIECE ? SLICE_MS : LONG_SLICE_MS) * (int64_t)1000000;
    const int64_t deadline = limit < 0 ? INT64_MAX : now_ns() + limit;
    Py_ssize_t flying = watch_all(args[0], l);
    bool over = flying >= 0 && (size_t)flying < n;
    while (flying >= 0 && !over) {
        int64_t left = limit < 0 ? slice : deadline - now_ns();
        if (left > 0) {
            Py_BEGIN_ALLOW_THREADS
            list_suspend(l->requests, n, left < slice ? left : slice);
            Py_END_ALLOW_THREADS
        }
        if (PyErr_CheckSignals() != 0)
            flying = -1;
        else if (!(over = list_any(l->requests, l->serials, n)) && left <= 0)
            break;
    }
    if (over)
        notice_ends(l->requests, n);
    listing_release(l);
    return flying < 0 || PyErr_Occurred() ? NULL : PyBool_FromLong(over);
}

PyMethodDef list_methods[] = {
    { "listio", FASTCALL(listio),
      "listio(list of aiocbs and None, waits, sigevent or None, value, /) -> int\n\n"
      "Without waiting: 0, or glibc's errno if it refused some.  With: 0, or EIO if one failed." },
    { "suspend", FASTCALL(suspend),
      "suspend(list of aiocbs, nanoseconds, /) -> bool: whether one is over; below 0: no limit" },
    { NULL, NULL, 0, NULL },
};
