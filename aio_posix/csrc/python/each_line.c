/* `async for` over the lines of a window.
 *
 * - Where a line is at hand, each() is its own awaitable, so a line costs neither a coroutine nor
 *   a future.  Otherwise the coroutine of the file is awaited.  A line is taken when it is awaited
 *   and not before, so a task that is cancelled before that loses none.
 * - `await` asks tp_iternext for the result since Python 3.12, and takes it out of a StopIteration.
 *   One is used again and again, because to make one takes longer than all the rest.
 */
#include "lines.h"

enum { SHORT = 1 << 12 }; /* letters of a line that may live until the next one */

struct each {
    PyObject_HEAD
    struct window *window;
    PyObject *more;
    PyObject *waits;    /* the iterator of the file's coroutine, where no line was at hand */
    PyObject *spare;    /* another one, to be handed out again when nobody else has it */
    PyObject *stop;     /* a StopIteration, to be raised again */
};

static PyObject *each_of(PyTypeObject *type, PyObject *window, PyObject *more)
{
    struct each *e = PyObject_GC_New(struct each, type);
    if (e == NULL)
        return NULL;
    Py_INCREF(window);
    Py_INCREF(more);
    e->window = (struct window *)window;
    e->more = more;
    e->waits = e->spare = e->stop = NULL;
    PyObject_GC_Track(e);
    return (PyObject *)e;
}

static PyObject *each_new(PyTypeObject *type, PyObject *args, PyObject *names)
{
    (void)names;
    PyObject *window, *more;
    if (!PyArg_ParseTuple(args, "O!O:EachLine", window_type, &window, &more))
        return NULL;
    return each_of(type, window, more);
}

static PyObject *itself(PyObject *self)
{
    Py_INCREF(self);
    return self;
}

/* What is awaited for one line.  Two that live at once are two objects. */
static PyObject *each_anext(PyObject *self)
{
    struct each *e = (struct each *)self;
#ifndef Py_GIL_DISABLED
    if (e->spare == NULL || Py_REFCNT(e->spare) != 1) {
        Py_XDECREF(e->spare);
        e->spare = each_of(Py_TYPE(self), (PyObject *)e->window, e->more);
    }
    if (e->spare != NULL)
        Py_CLEAR(((struct each *)e->spare)->waits);
    Py_XINCREF(e->spare);
    return e->spare;
#else
    return each_of(Py_TYPE(self), (PyObject *)e->window, e->more);
#endif
}

/* The file's coroutine, which begins once.  `waits` stays NULL with an exception. */
static void begin(struct each *e)
{
    PyObject *coroutine = PyObject_CallNoArgs(e->more);
    e->waits = coroutine ? PyObject_CallMethod(coroutine, "__await__", NULL) : NULL;
    Py_XDECREF(coroutine);
}

/* Itself while a line is at hand, else the iterator of the file's coroutine, which begins once. */
static PyObject *each_await(PyObject *self)
{
    struct each *e = (struct each *)self;
    Py_ssize_t end = 0;
    if (e->waits == NULL) {
        LOCKED(e->window, end = e->window->left > 0 ? end_of_line(e->window) : 0);
        if (end > 0)
            return itself(self);
        if (end == 0)
            begin(e);
    }
    Py_XINCREF(e->waits);
    return e->waits;
}

static PySendResult each_send(PyObject *self, PyObject *value, PyObject **result)
{
    struct each *e = (struct each *)self;
    PyObject *iterator = each_await(self);
    PySendResult sent = PYGEN_ERROR;
    *result = NULL;
    if (iterator == self) {
        LOCKED(e->window, *result = cut_line(e->window));
        sent = *result != NULL ? PYGEN_RETURN : PYGEN_ERROR;
    } else if (iterator != NULL) {
        sent = PyIter_Send(iterator, value, result);
    }
    Py_XDECREF(iterator);
    return sent;
}

#ifndef Py_GIL_DISABLED
/* Whether nobody has the exception, and no Python code has ever caught it. */
static bool unseen(PyObject *stop)
{
    if (stop == NULL || Py_REFCNT(stop) != 1)
        return false;
    PyObject *traceback = PyException_GetTraceback(stop);
    Py_XDECREF(traceback);
    return traceback == NULL;
}

static int set_value(PyObject *stop, PyObject *line)
{
    static PyObject *value;
    static descrsetfunc set;
    if (value == NULL) {
        value = PyObject_GetAttrString(PyExc_StopIteration, "value");
        if (value == NULL)
            return -1;
        slot_of(Py_TYPE(value), Py_tp_descr_set, &set);
    }
    return set(value, stop, line);
}
#endif

/* Raises StopIteration(line). */
static void stop_with(struct each *e, PyObject *line, Py_ssize_t length)
{
#ifndef Py_GIL_DISABLED
    if (length <= SHORT) {
        if (!unseen(e->stop)) {
            PyObject *seen = e->stop;
            e->stop = PyObject_CallNoArgs(PyExc_StopIteration);
            Py_XDECREF(seen);
        }
        if (e->stop == NULL || set_value(e->stop, line) != 0)
            return;
        Py_INCREF(PyExc_StopIteration);
        Py_INCREF(e->stop);
        PyErr_Restore(PyExc_StopIteration, e->stop, NULL);
        return;
    }
#else
    (void)e, (void)length;
#endif
    PyErr_SetObject(PyExc_StopIteration, line);
}

/* What is not there yet, or NULL with StopIteration(line) or another exception. */
static PyObject *step(PyObject *self, PyObject *value)
{
    struct each *e = (struct each *)self;
    Py_ssize_t at = e->window->at;
    PyObject *result;
    switch (each_send(self, value, &result)) {
    case PYGEN_NEXT:
        return result;
    case PYGEN_RETURN:
        stop_with(e, result, e->waits == NULL ? e->window->at - at : SHORT + 1);
        Py_DECREF(result);
        return NULL;
    default:
        return NULL;
    }
}

static PyObject *each_next(PyObject *self)
{
    return step(self, Py_None);
}

/* What has not begun is begun for it, by the coroutine of the file. */
static PyObject *each_throw(PyObject *self, PyObject *args)
{
    struct each *e = (struct each *)self;
    if (e->waits == NULL)
        begin(e);
    PyObject *throw = e->waits ? PyObject_GetAttrString(e->waits, "throw") : NULL;
    PyObject *result = throw ? PyObject_CallObject(throw, args) : NULL;
    Py_XDECREF(throw);
    return result;
}

static PyObject *each_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct each *e = (struct each *)self;
    return e->waits != NULL ? PyObject_CallMethod(e->waits, "close", NULL) : none();
}

/* With these four it is a coroutine to asyncio, as what __anext__() of a file returns. */
static PyMethodDef each_methods[] = {
    { "send", step, METH_O, NULL },
    { "throw", each_throw, METH_VARARGS, NULL },
    { "close", each_close, METH_NOARGS, NULL },
    { NULL, NULL, 0, NULL },
};

static int each_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct each *e = (struct each *)self;
    Py_VISIT(e->window);
    Py_VISIT(e->more);
    Py_VISIT(e->waits);
    Py_VISIT(e->spare);
    Py_VISIT(e->stop);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int each_clear(PyObject *self)
{
    Py_CLEAR(((struct each *)self)->waits);
    Py_CLEAR(((struct each *)self)->spare);
    Py_CLEAR(((struct each *)self)->stop);
    return 0;
}

static void each_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    each_clear(self);
    Py_DECREF(((struct each *)self)->window);
    Py_DECREF(((struct each *)self)->more);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

int each_line_start(PyObject *module)
{
    PyType_Slot each[] = {
        function_slot(Py_tp_new, (void (*)(void))each_new),
        function_slot(Py_tp_dealloc, (void (*)(void))each_dealloc),
        function_slot(Py_tp_traverse, (void (*)(void))each_traverse),
        function_slot(Py_tp_clear, (void (*)(void))each_clear),
        function_slot(Py_tp_iter, (void (*)(void))itself),
        function_slot(Py_tp_iternext, (void (*)(void))each_next),
        function_slot(Py_am_aiter, (void (*)(void))itself),
        function_slot(Py_am_anext, (void (*)(void))each_anext),
        function_slot(Py_am_await, (void (*)(void))each_await),
        function_slot(Py_am_send, (void (*)(void))each_send),
        { Py_tp_methods, each_methods },
        { 0, NULL },
    };
    return type_of(module, "aio_posix._calls.EachLine", sizeof(struct each), Py_TPFLAGS_HAVE_GC,
                   each) != NULL ? 0 : -1;
}
