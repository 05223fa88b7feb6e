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

/* A reader has the value of this notice. */
static void hand_over(struct notice *n)
{
    struct delivery d = take_noticed(n);
    if (d.of != NULL && watched()) {
        watch_tell("taken", d.of, "()");
        d.of = NULL;
    }
    delivery_log(d);
    delivery_release(d);
}

/* The values of these notices; NULL if there is no memory, or a signal handler has raised.  Then
 * nothing has happened. */
static PyObject *values_of(struct queued **items, int n)
{
    for (int i = 0; i < n; i++)   /* first, for this may run code of the program */
        notice_ends((struct notice *)items[i]);
    PyObject *values = PyErr_CheckSignals() == 0 ? PyList_New(0) : NULL;
    for (int i = 0; values != NULL && i < n; i++)
        if (PyList_Append(values, ((struct notice *)items[i])->promise.value) != 0)
            Py_CLEAR(values);
    return values;
}

/* A signal handler that raises must not take values along.  So whatever may run one comes before
 * the notices are given up, or after. */
static PyObject *take(PyObject *self, PyObject *address)
{
    enum { AT_ONCE = 1024 };   /* 8 KiB of stack */
    struct queued *items[AT_ONCE];
    (void)self;
    struct queue *q = PyLong_AsVoidPtr(address);
    int n = q ? queue_take(q, items, AT_ONCE) : 0;
    if (q == NULL || n < 0)
        return PyErr_Occurred() ? NULL : none();
    PyObject *values = values_of(items, n);
    if (values == NULL && n > 0)
        queue_put_back(q, items, n);
    for (int i = 0; values != NULL && i < n; i++)
        hand_over((struct notice *)items[i]);
    return values;
}

PyMethodDef promise_methods[] = {
    { "take", take, METH_O,
      "take(address of a queue, /) -> list of values in the order of completion, or None\n\n"
      "None: the queue is closed." },
    { NULL, NULL, 0, NULL },
};
