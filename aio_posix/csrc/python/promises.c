#include "promises.h"
#include "kept.h"
#include "watch.h"

void promise_release(struct promise p)
{
    struct aside a = put_aside();
    Py_XDECREF((PyObject *)p.callable);
    Py_XDECREF((PyObject *)p.value);
    take_up(a);
}

/* Whoever delivers has noticed that the submission, or the whole list, is over. */
static void notice_ends(const struct notice *n)
{
    if (n->request)
        kept_notice_end(n->request);
    for (size_t i = 0; n->listing && i < n->listing->n; i++)
        kept_notice_end(n->listing->requests[i]);
}

/* Of a notice whose ends were noticed. */
static struct delivery take_noticed(struct notice *n)
{
    struct delivery d = { n->promise.callable, n->promise.value, watched() ? watch_of(n) : NULL,
                          n->late };
    notice_free(n);
    return d;
}

struct delivery promise_take(struct notice *n)
{
    notice_ends(n);
    return take_noticed(n);
}

void delivery_release(struct delivery d)
{
    Py_XDECREF(d.of);
    Py_XDECREF(d.callable);
    Py_XDECREF(d.value);
}

void delivery_log(struct delivery d)
{
    PyObject *result = d.late ? in_python("aio_posix.log", "delivered_late", "()") : NULL;
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(d.value);
    Py_XDECREF(result);
}

/* Whether the value of a notice is in the list `left`.  If not, there is no memory and nothing has
 * happened. */
static bool move_to(PyObject *left, struct notice *n)
{
    notice_ends(n);   /* first, as the value may be another thread's from then on */
    if (PyList_Append(left, n->promise.value) != 0)
        return false;
    struct delivery d = take_noticed(n);
    if (d.of != NULL && watched()) {
        watch_tell("taken", d.of, "()");
        d.of = NULL;
    }
    delivery_log(d);
    delivery_release(d);
    return true;
}

/* A signal handler that raises must not take values along.  So what is taken goes to the end of the
 * list `left`, and from there to the caller only if no handler has raised. */
static PyObject *take(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    enum { AT_ONCE = 1024 };   /* 8 KiB of stack */
    struct queued *items[AT_ONCE];
    (void)self;
    struct queue *q = nargs == 2 && PyList_Check(args[1]) ? PyLong_AsVoidPtr(args[0]) : NULL;
    if (q == NULL) {
        PyErr_SetString(PyExc_TypeError, "expected queue, left");
        return NULL;
    }
    PyObject *left = args[1], *values = NULL;
    int n = queue_take(q, items, AT_ONCE), moved = 0;
    if (n < 0)
        return none();
    while (moved < n && move_to(left, (struct notice *)items[moved]))
        moved++;
    if (moved < n)
        queue_put_back(q, items + moved, n - moved);
    if (!PyErr_Occurred() && PyErr_CheckSignals() == 0)
        LOCKED(left, {
            Py_ssize_t all = PyList_Size(left);
            values = PyList_GetSlice(left, 0, all);
            if (values != NULL && PyList_SetSlice(left, 0, all, NULL) != 0)
                Py_CLEAR(values);
        });
    if (values == NULL)
        queue_ring(q);   /* or nobody who polls would come back for them */
    return values;
}

PyMethodDef promise_methods[] = {
    { "take", FASTCALL(take),
      "take(address of a queue, left, /) -> list of values in the order of completion, or None\n\n"
      "None: the queue is closed." },
    { NULL, NULL, 0, NULL },
};
