/* The way from a thread that Python did not start into Python, and its closing at exit.
 *
 * State: the gate (`closed`, `entering`, `inside`); `birth` and `interpreter`, for new thread states.
 *
 * - No Python object is touched before the GIL is held.  A thread goes in with the baton, so few of them wait for the GIL
 *   at a time.  Closing the gate waits for those that are on the way in.
 * - Making a thread state takes a lock of the interpreter without the GIL, and Python (3.11 does) waits for that lock in
 *   the child of a fork, where its holder is not: so nobody makes one during a fork (`birth`).
 * - Whatever asks for threading.current_thread() in a callback (logging does) enters a dummy for this thread in
 *   threading._active, up to Python 3.12 for ever: we take it out again.
 */
#include "flight.h"

#include <time.h>

static pthread_mutex_t birth = PTHREAD_MUTEX_INITIALIZER;
static PyInterpreterState *interpreter;
static atomic_bool closed;
static atomic_int entering, inside;
static _Thread_local bool without_baton;   /* the sweeper, which has to pass it on, must never wait for it */
static PyObject *name_call, *threads;

struct pass {
    uint64_t baton;
    int foreign;   /* Python did not start this thread; one of its own may discard what is in a queue */
    PyGILState_STATE gil;
};

/* The callback, whose notice came; or, for a queue that nobody will read again, only what take() would let go of. */
static void call(uint32_t notice, int foreign)
{
    PyObject *told = flight_take(notice), *function, *result, *key;
    if (told == NULL)
        return;
    function = PyObject_GetAttr(PyTuple_GetItem(told, 0), name_call);
    if (flight_watched())
        flight_tell("callback", PyTuple_GetItem(told, 2), "(O)", function);
    result = PyObject_CallFunctionObjArgs(function, PyTuple_GetItem(told, 1), NULL);
    if (result == NULL)
        PyErr_WriteUnraisable(function);
    if (flight_watched())
        flight_tell("returned", PyTuple_GetItem(told, 2), "()");
    Py_XDECREF(result);
    Py_XDECREF(function);
    Py_DECREF(told);
    if (foreign && threads != NULL && (key = PyLong_FromUnsignedLong((unsigned long)pthread_self())) != NULL) {
        forget(threads, key);
        Py_DECREF(key);
    }
}

/* Around os.fork, by os.register_at_fork: in 3.13 Python holds that lock when it calls pthread_atfork's handlers. */
void gate_fork_begins(void)
{
    pthread_mutex_lock(&birth);
}

void gate_fork_ended(void)
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
    int with_baton = !without_baton;
    if (with_baton)
        baton_take();
    atomic_fetch_add(&entering, 1);
    int open = !atomic_load(&closed);
    if (open) {
        atomic_fetch_add(&inside, 1);
        pass->foreign = PyGILState_GetThisThreadState() == NULL;
        pass->gil = pass->foreign ? be_born() : PyGILState_Ensure();
        pass->baton = with_baton ? baton_carry() : 0;
    } else if (with_baton) {
        baton_drop();
    }
    atomic_fetch_sub(&entering, 1);
    return open;
}

static void leave_python(struct pass *pass)
{
    PyGILState_Release(pass->gil);
    if (pass->baton)
        baton_pass(pass->baton);
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
    for (int i = 0; i < n; i++)
        flight_done(serials[i]);
    leave_python(&pass);
}

/* The calling thread goes in without it. */
void gate_no_baton(void)
{
    without_baton = true;
}

int gate_inside(void)
{
    return atomic_load(&inside);
}

/* Nobody goes in from now on; those inside go on. */
void gate_close(void)
{
    const struct timespec moment = { 0, 100000 };
    atomic_store(&closed, true);
    while (atomic_load(&entering) > 0)
        nanosleep(&moment, NULL);
}

/* Before the first request with a Python callable; a later call does nothing. */
void gate_expect_callbacks(void)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    if (threads == NULL) {
        threads = named("threading", "_active");
        datastack_keep();
    }
    PyGILState_Release(gil);
}

/* Once, before there are requests. */
void gate_start(void)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    name_call = PyUnicode_InternFromString("_call");
    interpreter = PyInterpreterState_Get();
    baton_make();
    PyGILState_Release(gil);
}
