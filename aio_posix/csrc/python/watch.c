/* State: the watcher or NULL.  A thread that is about to call it becomes an owner of it, under
 * `changing`. */
#include "watch.h"

#include <stdarg.h>
#include <time.h>

static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(PyObject *) watcher;

bool watched(void)
{
    return atomic_load_explicit(&watcher, memory_order_relaxed) != NULL;
}

static PyObject *watcher_now(void)
{
    pthread_mutex_lock(&changing);
    PyObject *now = atomic_load(&watcher);
    Py_XINCREF(now);
    pthread_mutex_unlock(&changing);
    return now;
}

void watch_tell(const char *event, PyObject *of, const char *format, ...)
{
    struct aside a = put_aside();
    va_list details;
    va_start(details, format);
    PyObject *head = of ? Py_BuildValue("(sO)", event, of) : NULL;
    PyObject *tail = Py_VaBuildValue(format, details), *result = NULL, *callee = watcher_now();
    PyObject *all = head && tail ? PySequence_Concat(head, tail) : NULL;
    va_end(details);
    if (all != NULL && callee != NULL) {
        result = PyObject_CallObject(callee, all);
        if (result == NULL)
            PyErr_WriteUnraisable(callee);
    }
    Py_XDECREF(callee);
    Py_XDECREF(result);
    Py_XDECREF(all);
    Py_XDECREF(tail);
    Py_XDECREF(head);
    Py_XDECREF(of);
    PyErr_Clear();
    take_up(a);
}

static PyObject *list_of(const uint64_t *serials, size_t n)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *serial = PyLong_FromUnsignedLongLong(serials[i]);
        if (serial == NULL || PyList_Append(list, serial) != 0)
            Py_CLEAR(list);
        Py_XDECREF(serial);
    }
    return list;
}

/* The serial of a notice's submission, or the list of those of its list. */
PyObject *watch_of(const struct notice *n)
{
    return n->request ? PyLong_FromUnsignedLongLong(n->serial)
                      : list_of(n->listing->serials, n->listing->n);
}

int64_t watch_begins(void)
{
    struct timespec t;
    if (!watched())
        return 0;
    clock_gettime(CLOCK_REALTIME, &t);   /* as time.time_ns(), which strace is compared with */
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

void watch_submission(int64_t began, int op, const uint64_t *serials, size_t n, int error)
{
    if (began != 0 && watched())
        watch_tell("submission", list_of(serials, n), "(iLi)", op, (long long)began, error);
}

void watch_cancel(int64_t began, int fd, const uint64_t *serial, int rc)
{
    if (began != 0 && watched())
        watch_tell("cancel", list_of(serial, serial != NULL), "(iLi)", fd, (long long)began, rc);
}

static PyObject *tell_pool(PyObject *self, PyObject *threads)
{
    (void)self;
    if (watched())
        watch_tell("pool", list_of(NULL, 0), "(O)", threads);
    return none();
}

static PyObject *watch(PyObject *self, PyObject *function)
{
    (void)self;
    Py_INCREF(function);
    pthread_mutex_lock(&changing);
    PyObject *before = atomic_exchange(&watcher, function == Py_None ? NULL : function);
    pthread_mutex_unlock(&changing);
    return before ? before : none();
}

PyMethodDef watch_methods[] = {
    { "watch", watch, METH_O,
      "watch(function or None, /) -> the one before\n\n"
      "The function is called with an event, a serial or list of serials, and details: 'request', "
      "aiocb, op, address, nbytes; 'submission', op, when it began (ns), errno; 'callback', "
      "function; "
      "'returned'; 'taken'; 'cancel', fd, when it began, answer; 'pool', threads." },
    { "tell_pool", tell_pool, METH_O, "tell_pool(threads, /): aio_init was called" },
    { NULL, NULL, 0, NULL },
};
