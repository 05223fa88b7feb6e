/* State: the gate (`closed`, `entering`, `inside`), `birth` and `interpreter` for new thread
 * states, `threading`, once there are callbacks, and `take_turns`, which is false without a GIL.
 */
#include "gate.h"
#include "datastack.h"
#include "kept.h"
#include "promises.h"
#include "watch.h"
#include "../engine/baton.h"
#include "../engine/host.h"

#include <dlfcn.h>
#include <time.h>

static pthread_mutex_t birth = PTHREAD_MUTEX_INITIALIZER;
static PyInterpreterState *interpreter;
static atomic_bool closed, take_turns = true;
static atomic_int entering, inside;
static _Thread_local bool is_sweeper;   /* it passes the baton on, and must never wait for it */
static _Atomic(PyObject *) threading;
static PyObject *n_active, *n_trace, *n_profile;
static void *(*raw_malloc)(size_t size);   /* NULL when they are not to be found */
static void (*raw_free)(void *memory);

struct pass {
    uint64_t baton;
    bool foreign;   /* Python did not start this thread */
    PyGILState_STATE gil;
};

/* threading.settrace() and setprofile() are for all threads that are to come.  Coverage and
 * debuggers see callbacks by them. */
static void install(PyObject *name, const char *setter)
{
    PyObject *hook = PyObject_GetAttr(threading, name), *result = NULL;
    if (hook != NULL && hook != Py_None)
        result = in_python("sys", setter, "(O)", hook);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(threading);
    Py_XDECREF(result);
    Py_XDECREF(hook);
}

/* Whatever asks for threading.current_thread() in a callback (logging does) enters a dummy for this
 * thread in threading._active, up to Python 3.12 for ever. */
static void forget_dummy(void)
{
    PyObject *key = PyLong_FromUnsignedLong((unsigned long)pthread_self());
    PyObject *active = PyObject_GetAttr(threading, n_active);
    if (key != NULL && active != NULL && PyDict_Contains(active, key) == 1)
        PyDict_DelItem(active, key);
    PyErr_Clear();
    Py_XDECREF(active);
    Py_XDECREF(key);
}

static void call(struct delivery d, bool foreign)
{
    bool seen = d.of != NULL && watched();
    if (foreign && threading != NULL) {
        install(n_trace, "settrace");
        install(n_profile, "setprofile");
    }
    if (!is_sweeper)
        delivery_log(d);
    if (seen) {
        Py_INCREF(d.of);
        watch_tell("callback", d.of, "(O)", d.callable);
    }
    PyObject *result = PyObject_CallFunctionObjArgs(d.callable, d.value, NULL);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_SystemExit))
        PyErr_Clear();   /* it is the way to leave a thread, as in threading.Thread */
    if (result == NULL && PyErr_Occurred())
        PyErr_WriteUnraisable(d.callable);
    if (seen) {
        Py_INCREF(d.of);
        watch_tell("returned", d.of, "()");
    }
    Py_XDECREF(result);
    delivery_release(d);
    if (foreign && threading != NULL)
        forget_dummy();
}

/* Around os.fork, by os.register_at_fork.  In 3.13 Python holds that lock when it calls
 * pthread_atfork's handlers. */
void gate_fork_begins(void)
{
    pthread_mutex_lock(&birth);
}

void gate_fork_ended(void)
{
    pthread_mutex_unlock(&birth);
}

/* PyThreadState_New of Python 3.11 crashes without memory, so ask for some first.  What asks is not
 * in the stable ABI before 3.13. */
static bool there_is_memory(void)
{
    enum { MORE_THAN_A_STATE = 4096 };
    void *some = raw_malloc == NULL ? NULL : raw_malloc(MORE_THAN_A_STATE);
    if (some != NULL)
        raw_free(some);
    return some != NULL || raw_malloc == NULL;
}

/* As PyGILState_Ensure for a thread that Python has not seen, with a state that PyGILState_Release
 * deletes.  Without memory for one there is nothing to do but to wait.  False when the gate was
 * closed meanwhile. */
static bool be_born(PyGILState_STATE *gil)
{
    const struct timespec moment = { 0, 10000000 };
    PyThreadState *state = NULL;
    for (;;) {
        pthread_mutex_lock(&birth);
        state = there_is_memory() ? PyThreadState_New(interpreter) : NULL;
        pthread_mutex_unlock(&birth);
        if (state != NULL || atomic_load(&closed))
            break;
        nanosleep(&moment, NULL);
    }
    if (state != NULL)
        PyEval_RestoreThread(state);
    *gil = PyGILState_UNLOCKED;
    return state != NULL;
}

static bool enter(struct pass *pass)
{
    const bool in_turn = !is_sweeper && atomic_load(&take_turns);
    if (in_turn)
        baton_take();
    atomic_fetch_add(&entering, 1);
    bool open = !atomic_load(&closed);
    if (open) {
        atomic_fetch_add(&inside, 1);
        pass->foreign = PyGILState_GetThisThreadState() == NULL;
        if (!pass->foreign)
            pass->gil = PyGILState_Ensure();
        else
            open = be_born(&pass->gil);
        if (!open)
            atomic_fetch_sub(&inside, 1);
    }
    if (open)
        pass->baton = in_turn ? baton_carry() : 0;
    else if (in_turn)
        baton_drop();
    atomic_fetch_sub(&entering, 1);
    return open;
}

static void leave(struct pass *pass)
{
    PyGILState_Release(pass->gil);
    if (pass->baton)
        baton_pass(pass->baton);
    atomic_fetch_sub(&inside, 1);
}

void host_call(struct notice *n)
{
    struct pass pass;
    if (enter(&pass)) {
        call(promise_take(n), pass.foreign);
        leave(&pass);
    }
}

void host_reap(struct notice *discarded)
{
    struct pass pass;
    void *kept;
    if (!enter(&pass))
        return;
    while ((kept = request_reap()) != NULL)
        kept_orphaned(kept);
    for (struct queued *item = (struct queued *)discarded, *next; item != NULL; item = next) {
        next = item->next;
        delivery_release(promise_take((struct notice *)item));
    }
    leave(&pass);
}

void host_sweeper_starts(void)
{
    is_sweeper = true;
}

int gate_inside(void)
{
    return atomic_load(&inside);
}

void gate_close(void)
{
    const struct timespec moment = { 0, 100000 };
    atomic_store(&closed, true);
    while (atomic_load(&entering) > 0)
        nanosleep(&moment, NULL);
    kept_silently();
}

/* A module that is imported late may turn the GIL on, so this is asked for each plan. */
static void see_whether_to_take_turns(void)
{
#ifdef Py_GIL_DISABLED
    PyObject *enabled = in_python("sys", "_is_gil_enabled", "()");
    atomic_store(&take_turns, enabled != Py_False);
    if (enabled == NULL)
        PyErr_Clear();
    Py_XDECREF(enabled);
#endif
}

/* With a plan for a callable. */
void host_expects_callbacks(void)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    see_whether_to_take_turns();
    if (atomic_load(&threading) == NULL) {
        atomic_store(&threading, PyImport_ImportModule("threading"));
        if (atomic_load(&threading) == NULL)
            PyErr_Clear();
        datastack_keep();
    }
    PyGILState_Release(gil);
}

int gate_start(void)
{
    interpreter = PyInterpreterState_Get();
    *(void **)&raw_free = dlsym(RTLD_DEFAULT, "PyMem_RawFree");
    if (raw_free != NULL)
        *(void **)&raw_malloc = dlsym(RTLD_DEFAULT, "PyMem_RawMalloc");
    n_active = PyUnicode_InternFromString("_active");
    n_trace = PyUnicode_InternFromString("_trace_hook");
    n_profile = PyUnicode_InternFromString("_profile_hook");
    baton_make();
    return n_active && n_trace && n_profile ? 0 : -1;
}
