/* The tables of flight.py: each submission and each completion goes through them, so it is C that does.
 *
 * State: the tables, which C holds for ever: what is in flight when the interpreter ends is never freed; `watcher`, who
 * is told of each step, if anybody.
 *
 * - The GIL is held, and no function here runs Python code before it has done its part, but for what a value that is let
 *   go of may run.
 */
#include "flight.h"

static PyObject *in_flight, *owed, *free_notices, *serials, *watcher;
static PyObject *name_queue, *name_closed, *name_value;

/* An attribute of a module, or NULL without an exception. */
PyObject *named(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *attribute = module ? PyObject_GetAttrString(module, name) : NULL;
    Py_XDECREF(module);
    if (attribute == NULL)
        PyErr_Clear();
    return attribute;
}

void forget(PyObject *table, PyObject *key)
{
    if (PyDict_Contains(table, key) == 1 && PyDict_DelItem(table, key) != 0)
        PyErr_Clear();
}

int flight_watched(void)
{
    return watcher != NULL;
}

/* Calls watcher(event, serial or serials, *details); the format, of the details, is that of Py_BuildValue for a tuple. */
void flight_tell(const char *event, PyObject *of, const char *format, ...)
{
    va_list details;
    va_start(details, format);
    PyObject *head = Py_BuildValue("(sO)", event, of), *tail = Py_VaBuildValue(format, details), *result = NULL;
    PyObject *all = head && tail ? PySequence_Concat(head, tail) : NULL, *told = watcher;
    va_end(details);
    if (all != NULL && told != NULL) {
        Py_INCREF(told);
        result = PyObject_CallObject(told, all);
        if (result == NULL)
            PyErr_WriteUnraisable(told);
        Py_DECREF(told);
    }
    Py_XDECREF(result);
    Py_XDECREF(all);
    Py_XDECREF(tail);
    Py_XDECREF(head);
    PyErr_Clear();
}

/* A new one, also as an int, or NULL. */
PyObject *flight_serial(uint64_t *serial)
{
    PyObject *key = PyIter_Next(serials);
    if (key != NULL)
        *serial = PyLong_AsUnsignedLongLong(key);
    return key;
}

/* Until flight_done(). */
int flight_keep(PyObject *serial, PyObject *kept)
{
    return PyDict_SetItem(in_flight, serial, kept);
}

void flight_done(uint64_t serial)
{
    PyObject *key = PyLong_FromUnsignedLongLong(serial);
    if (key != NULL)
        forget(in_flight, key);
    Py_XDECREF(key);
}

static int more_notices(void)
{
    uint32_t first = notices_grow();
    if (first == NO_NOTICE) {
        PyErr_SetString(PyExc_MemoryError, "no room for another notification");
        return -1;
    }
    for (uint32_t i = 0; i < CHUNK; i++) {
        PyObject *key = PyLong_FromUnsignedLong(first + i);
        if (key == NULL || PyList_Append(free_notices, key) != 0) {
            Py_XDECREF(key);
            return -1;
        }
        Py_DECREF(key);
    }
    return 0;
}

static int is_closed(PyObject *sig)
{
    PyObject *queue = PyObject_GetAttr(sig, name_queue), *closed;
    if (queue == NULL || queue == Py_None) {
        Py_XDECREF(queue);
        return queue == NULL;
    }
    closed = PyObject_GetAttr(queue, name_closed);
    Py_DECREF(queue);
    int is = closed == NULL || PyObject_IsTrue(closed);
    if (closed != NULL && is)
        PyErr_SetString(PyExc_ValueError, "the CompletionQueue of this request is closed");
    Py_XDECREF(closed);
    return is;
}

/* What a SIGEV_THREAD notification will hand out; its notice, or NO_NOTICE with an exception.
 * value: what sigev_value None stands for.  of: a serial, or an iterable of them.  kept: what C needs until then;
 * kept_by_value: value keeps it, too. */
uint32_t flight_promise(PyObject *sig, PyObject *value, PyObject *of, PyObject *kept, int kept_by_value)
{
    Py_ssize_t n = PyList_Size(free_notices);
    if (is_closed(sig) || (n == 0 && more_notices() != 0))
        return NO_NOTICE;
    n = PyList_Size(free_notices);
    PyObject *key = PyList_GetItem(free_notices, n - 1), *own = PyObject_GetAttr(sig, name_value);
    Py_XINCREF(key);
    PyObject *told = NULL;
    if (key != NULL && own != NULL)
        told = own == Py_None && kept_by_value ? PyTuple_Pack(3, sig, value, of)
                                              : PyTuple_Pack(4, sig, own == Py_None ? value : own, of, kept);
    uint32_t notice = NO_NOTICE;
    if (told != NULL && PyList_SetSlice(free_notices, n - 1, n, NULL) == 0 && PyDict_SetItem(owed, key, told) == 0)
        notice = (uint32_t)PyLong_AsUnsignedLong(key);
    Py_XDECREF(told);
    Py_XDECREF(own);
    Py_XDECREF(key);
    return notice;
}

void flight_break_promise(uint32_t notice)
{
    PyObject *type, *value, *traceback;   /* of why the submission did not happen */
    PyErr_Fetch(&type, &value, &traceback);
    Py_XDECREF(flight_take(notice));
    PyErr_Restore(type, value, traceback);
}

/* (sigevent, value, serial or serials, perhaps kept) of a notice that came, and lets go of the rest; NULL if it has gone. */
PyObject *flight_take(uint32_t notice)
{
    PyObject *key = notice == NO_NOTICE ? NULL : PyLong_FromUnsignedLong(notice);
    PyObject *told = key ? PyDict_GetItemWithError(owed, key) : NULL, *of, *serial;
    if (told == NULL) {
        Py_XDECREF(key);
        return NULL;
    }
    Py_INCREF(told);
    forget(owed, key);
    if (PyList_Append(free_notices, key) != 0)
        PyErr_Clear();
    Py_DECREF(key);
    of = PyTuple_GetItem(told, 2);
    if (PyLong_Check(of)) {
        forget(in_flight, of);
        return told;
    }
    PyObject *each = PyObject_GetIter(of);
    while (each != NULL && (serial = PyIter_Next(each)) != NULL) {
        forget(in_flight, serial);
        Py_DECREF(serial);
    }
    Py_XDECREF(each);
    return told;
}

/* promise(sigevent, value, serial or serials, kept) -> notice */
static PyObject *promise(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    if (nargs != 4) {
        PyErr_SetString(PyExc_TypeError, "expected sigevent, value, serials, kept");
        return NULL;
    }
    uint32_t notice = flight_promise(args[0], args[1], args[2], args[3], 0);
    return notice == NO_NOTICE ? NULL : PyLong_FromUnsignedLong(notice);
}

/* break_promise(notice): for a submission that did not happen */
static PyObject *break_promise(PyObject *self, PyObject *notice)
{
    (void)self;
    flight_break_promise((uint32_t)PyLong_AsUnsignedLong(notice));
    return none();
}

/* take(address of a queue, left) -> list of values, in the order in which they came, or None: it is closed
 * A signal handler that raises must not take the values along: what is taken goes to the end of the list `left`, and from
 * there to the caller only if no handler has raised. */
static PyObject *take(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    enum { BATCH = 1024 };   /* 4 KiB of stack */
    uint32_t notices[BATCH];
    (void)self;
    struct queue *q = nargs == 2 && PyList_Check(args[1]) ? PyLong_AsVoidPtr(args[0]) : NULL;
    if (q == NULL) {
        PyErr_SetString(PyExc_TypeError, "expected queue, left");
        return NULL;
    }
    PyObject *left = args[1], *values;
    int n = queue_take(q, notices, BATCH);
    if (n < 0)
        return none();
    for (int i = 0; i < n; i++) {   /* all of them, whatever happens: they are out of the queue */
        PyObject *told = flight_take(notices[i]);
        if (told == NULL)
            continue;
        if (flight_watched())
            flight_tell("taken", PyTuple_GetItem(told, 2), "()");
        if (PyList_Append(left, PyTuple_GetItem(told, 1)) != 0)
            PyErr_Clear();
        Py_DECREF(told);
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

/* watch(function or None) -> the one before; it is called with an event, a serial or serials, and details */
static PyObject *watch(PyObject *self, PyObject *function)
{
    (void)self;
    PyObject *before = watcher ? watcher : none();
    Py_INCREF(function);
    watcher = function;
    if (function == Py_None)
        Py_CLEAR(watcher);
    return before;
}

static PyMethodDef methods[] = {
    { "promise", (PyCFunction)(void (*)(void))promise, METH_FASTCALL, NULL },
    { "break_promise", break_promise, METH_O, NULL },
    { "take", (PyCFunction)(void (*)(void))take, METH_FASTCALL, NULL },
    { "watch", watch, METH_O, NULL },
    { NULL, NULL, 0, NULL },
};

/* Once, from flight.py: 0, or -1 when this process has loaded the package before.
 * In a subinterpreter PyGILState_Ensure switches to the main one, where the import below comes here again: refused too. */
int flight_start(const char *module_name)
{
    static atomic_bool starting;
    int rc = -1;
    if (atomic_exchange(&starting, true))
        return -1;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *module = in_flight ? NULL : PyImport_ImportModule(module_name);
    if (module != NULL) {
        in_flight = named(module_name, "in_flight");
        owed = named(module_name, "owed");
        free_notices = named(module_name, "free");
        serials = named(module_name, "serials");
        name_queue = PyUnicode_InternFromString("_queue");
        name_closed = PyUnicode_InternFromString("closed");
        name_value = PyUnicode_InternFromString("sigev_value");
        rc = in_flight && owed && free_notices && serials && PyModule_AddFunctions(module, methods) == 0 ? 0 : -1;
        Py_DECREF(module);
    }
    PyErr_Clear();
    PyGILState_Release(gil);
    atomic_store(&starting, false);
    return rc;
}
