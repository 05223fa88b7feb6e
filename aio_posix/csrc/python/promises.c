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

static void notice_end(struct request *r)
{
    void *kept = NULL;
    request_look(r, &kept);
    kept_release(kept);
}

/* Whoever delivers has noticed that the submission, or the whole list, is over. */
struct delivery promise_take(struct notice *n)
{
    struct delivery d = { n->promise.callable, n->promise.value, watched() ? watch_of(n) : NULL };
    if (n->request)
        notice_end(n->request);
    for (size_t i = 0; n->listing && i < n->listing->n; i++)
        notice_end(n->listing->requests[i]);
    notice_free(n);
    return d;
}

void delivery_release(struct delivery d)
{
    Py_XDECREF(d.of);
    Py_XDECREF(d.callable);
    Py_XDECREF(d.value);
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
    PyObject *left = args[1], *values;
    int n = queue_take(q, items, AT_ONCE);
    if (n < 0)
        return none();
    for (int i = 0; i < n; i++) {   /* all of them, whatever happens: they are out of the queue */
        struct delivery d = promise_take((struct notice *)items[i]);
        if (d.of != NULL && watched()) {
            watch_tell("taken", d.of, "()");
            d.of = NULL;
        }
        if (PyList_Append(left, d.value) != 0)
            PyErr_Clear();
        delivery_release(d);
    }
    if (PyErr_CheckSignals() != 0) {
        queue_ring(q);   /* or nobody who polls would come back for them */
        return NULL;
    }
    values = PyList_GetSlice(left, 0, PyList_Size(left));
    if (values != NULL && PyList_SetSlice(left, 0, PyList_Size(left), NULL) != 0)
        Py_CLEAR(values);
    return values;
}

PyMethodDef promise_methods[] = {
    { "take", FASTCALL(take),
      "take(address of a queue, left, /) -> list of values in the order of completion, or None\n\n"
      "None: the queue is closed." },
    { NULL, NULL, 0, NULL },
};
