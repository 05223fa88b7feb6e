/* The way from a thread that Python did not start into Python, and its closing at exit.
 *
 * State: the gate (`turn`, `closed`, `inside`); the baton (`door`, `passed`, `holder`); `birth` and `interpreter`, for
 * new thread states; the tables of flight.py.
 *
 * - No Python object is touched before the GIL is held.  `turn` is held while a thread waits for the GIL: threads
 *   that wait for it wake each other every 5 ms, so only one waits at a time.  Closing the gate under `turn` therefore
 *   leaves nobody on the way in.
 * - The baton: one callback runs at a time, or each call that gives up the GIL for a moment would have to fight the
 *   next callback for it.  But a callback may block (the echo server's does, in accept): after PATIENCE_MS the next
 *   takes the baton over.
 * - Making a thread state takes a lock of the interpreter without the GIL, and Python (3.11 does) waits for that lock in
 *   the child of a fork, where its holder is not: so nobody makes one during a fork (`birth`).
 * - The tables are held by C for ever: what is in flight when the interpreter ends is never freed.
 * - Whatever asks for threading.current_thread() in a callback (logging does) enters a dummy for this thread in
 *   threading._active, up to Python 3.12 for ever: we take it out again.
 */
#include "python.h"
#include "notify.h"

#include <errno.h>
#include <time.h>

enum { PATIENCE_MS = 5 };   /* the interpreter's own switch interval */

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER, door = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t birth = PTHREAD_MUTEX_INITIALIZER;
static PyInterpreterState *interpreter;
static pthread_cond_t passed;
static uint64_t holder;
static atomic_bool closed;
static atomic_int inside;
static PyObject *in_flight, *owed_by, *free_notices, *threads;

struct pass {
    uint64_t baton;
    int foreign;   /* Python did not start this thread; one of its own may discard what is in a queue */
    PyGILState_STATE gil;
};

static void forget(PyObject *table, PyObject *key)
{
    if (PyDict_GetItem(table, key) != NULL && PyDict_DelItem(table, key) != 0)
        PyErr_Clear();
}

/* What take() in flight.py does for a queue, and then the callback. */
static void call(uint32_t index, int foreign)
{
    PyObject *key = PyLong_FromUnsignedLong(index), *told = key ? PyDict_GetItem(owed_by, key) : NULL;
    if (told == NULL) {
        Py_XDECREF(key);
        return;
    }
    Py_INCREF(told);
    forget(owed_by, key);
    PyList_Append(free_notices, key);
    Py_DECREF(key);
    PyObject *function = PyObject_GetAttrString(PyTuple_GetItem(told, 0), "_call"), *value = PyTuple_GetItem(told, 1);
    PyObject *of = PyTuple_GetItem(told, 2), *serial;
    PyObject *serials = PyLong_Check(of) ? NULL : PyObject_GetIter(of);
    if (PyLong_Check(of))
        forget(in_flight, of);
    while (serials != NULL && (serial = PyIter_Next(serials)) != NULL) {
        forget(in_flight, serial);
        Py_DECREF(serial);
    }
    Py_XDECREF(serials);

    PyObject *result = PyObject_CallFunctionObjArgs(function, value, NULL);
    if (result == NULL)
        PyErr_WriteUnraisable(function);
    Py_XDECREF(result);
    Py_XDECREF(function);
    Py_DECREF(told);
    if (foreign && threads != NULL && (key = PyLong_FromUnsignedLong((unsigned long)pthread_self())) != NULL) {
        forget(threads, key);
        Py_DECREF(key);
    }
}

/* Waits until the callback before is through, or has had its time: it may block for ever. */
static uint64_t take_baton(void)
{
    static uint64_t last;
    pthread_mutex_lock(&door);
    while (holder != 0) {
        uint64_t before = holder;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PATIENCE_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_cond_timedwait(&passed, &door, &until) == ETIMEDOUT && holder == before)
            break;
    }
    uint64_t mine = holder = ++last;
    pthread_mutex_unlock(&door);
    return mine;
}

static void pass_baton(uint64_t mine)
{
    pthread_mutex_lock(&door);
    if (holder == mine) {
        holder = 0;
        pthread_cond_signal(&passed);
    }
    pthread_mutex_unlock(&door);
}

static void fork_begins(void)
{
    pthread_mutex_lock(&birth);
}

static void fork_ended(void)
{
    pthread_mutex_unlock(&birth);
}

/* PyGILState_Ensure of a thread that Python has not seen: a state that PyGILState_Release deletes. */
static PyGILState_STATE be_born(void)
{
    pthread_mutex_lock(&birth);
    PyThreadState *state = PyThreadState_New(interpreter);
    pthread_mutex_unlock(&birth);
    if (state == NULL)
        Py_FatalError("aio_posix: no memory for the thread state of a callback");
    PyEval_RestoreThread(state);
    return PyGILState_UNLOCKED;
}

static int enter(struct pass *pass)
{
    pthread_mutex_lock(&turn);
    int open = !atomic_load(&closed);
    if (open) {
        atomic_fetch_add(&inside, 1);
        pass->baton = take_baton();
        pass->foreign = PyGILState_GetThisThreadState() == NULL;
        pass->gil = pass->foreign ? be_born() : PyGILState_Ensure();
    }
    pthread_mutex_unlock(&turn);
    return open;
}

static void leave_python(struct pass *pass)
{
    PyGILState_Release(pass->gil);
    pass_baton(pass->baton);
    atomic_fetch_sub(&inside, 1);
}

/* Hands a claimed notice out: to its callable, or, for a queue that nobody will read again, to nobody. */
void gate_call(struct notice *n)
{
    struct pass pass;
    if (enter(&pass)) {
        call(n->index, pass.foreign);
        leave_python(&pass);
    }
}

/* Orphans that are done: flight.py lets go of them. */
void gate_reap(const uint64_t *serials, int n)
{
    struct pass pass;
    if (n <= 0 || !enter(&pass))
        return;
    for (int i = 0; i < n; i++) {
        PyObject *serial = PyLong_FromUnsignedLongLong(serials[i]);
        if (serial != NULL)
            forget(in_flight, serial);
        Py_XDECREF(serial);
    }
    leave_python(&pass);
}

int gate_inside(void)
{
    return atomic_load(&inside);
}

/* Nobody goes in from now on; those inside go on. */
void gate_close(void)
{
    atomic_store(&closed, true);
    pthread_mutex_lock(&turn);
    pthread_mutex_unlock(&turn);
}

static PyObject *named(PyObject *module, const char *name)
{
    return module ? PyObject_GetAttrString(module, name) : NULL;
}

/* Before the first request with a Python callable; a later call does nothing. */
void gate_expect_callbacks(void)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    if (threads == NULL) {
        PyObject *module = PyImport_ImportModule("threading");
        threads = named(module, "_active");
        Py_XDECREF(module);
        PyErr_Clear();
        datastack_keep();
    }
    PyGILState_Release(gil);
}

/* Once, from flight.py: 0, or -1 when this process has loaded the package before. */
int gate_start(const char *module_name)
{
    int rc = -1;
    PyGILState_STATE gil = PyGILState_Ensure();
    if (in_flight == NULL) {
        PyObject *module = PyImport_ImportModule(module_name);
        in_flight = named(module, "in_flight");
        owed_by = named(module, "owed");
        free_notices = named(module, "free");
        Py_XDECREF(module);
        PyErr_Clear();
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&passed, &monotonic);
        interpreter = PyInterpreterState_Get();
        pthread_atfork(fork_begins, fork_ended, fork_ended);
        rc = in_flight && owed_by && free_notices ? 0 : -1;
    }
    PyGILState_Release(gil);
    return rc;
}
