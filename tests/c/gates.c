/* csrc/python/gate.c, one protection at a time: this file is the interpreter.
 *
 * `gates` prints the names of its walls, `gates NAME` tries one.  The functions of Python that the
 * gate calls are here, so that a thread can be held inside each of them.
 */
#include "../../aio_posix/csrc/engine/baton.h"
#include "../../aio_posix/csrc/engine/host.h"
#include "../../aio_posix/csrc/python/datastack.h"
#include "../../aio_posix/csrc/python/gate.h"
#include "../../aio_posix/csrc/python/kept.h"
#include "../../aio_posix/csrc/python/promises.h"
#include "../../aio_posix/csrc/python/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(fact) ((fact) ? (void)0 : failed(__LINE__, #fact))

static _Noreturn void failed(int line, const char *fact)
{
    fprintf(stderr, "gates.c:%d: %s\n", line, fact);
    _exit(1);
}

#define EVENTUALLY(fact, ms) __extension__({ \
    int left_ = (ms) * 10; \
    while (!(fact) && left_-- > 0) \
        usleep(100); \
    (fact); })
enum { MOMENT = 100, LONG = 5000 };

/* --- an interpreter: thread states and a GIL, in which threads can be held */

static pthread_mutex_t gil = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool known;
static atomic_int being_born, born, running, most_running, called, released, restored, unraisable;
static atomic_bool hold_births, hold_calls, exits;
static PyObject object;
PyObject _Py_NoneStruct, *PyExc_SystemExit = &object;

static PyObject *new_reference(void) { object.ob_refcnt = 1000000; return &object; }

PyInterpreterState *PyInterpreterState_Get(void) { return (void *)&object; }
PyThreadState *PyGILState_GetThisThreadState(void) { return known ? (void *)&object : NULL; }

PyThreadState *PyThreadState_New(PyInterpreterState *interpreter)
{
    (void)interpreter;
    atomic_fetch_add(&being_born, 1);
    while (atomic_load(&hold_births))
        usleep(100);
    atomic_fetch_sub(&being_born, 1);
    atomic_fetch_add(&born, 1);
    return (void *)&object;
}

void PyEval_RestoreThread(PyThreadState *state)
{
    (void)state;
    pthread_mutex_lock(&gil);
    known = true;
    atomic_fetch_add(&restored, 1);
}

PyGILState_STATE PyGILState_Ensure(void)
{
    pthread_mutex_lock(&gil);
    return PyGILState_LOCKED;
}

void PyGILState_Release(PyGILState_STATE state)
{
    if (state == PyGILState_UNLOCKED)
        known = false;
    pthread_mutex_unlock(&gil);
}

PyObject *PyObject_CallFunctionObjArgs(PyObject *callable, ...)
{
    (void)callable;
    int now = atomic_fetch_add(&running, 1) + 1;
    if (now > atomic_load(&most_running))
        atomic_store(&most_running, now);
    atomic_fetch_add(&called, 1);
    pthread_mutex_unlock(&gil);   /* a callback releases the GIL at times */
    usleep(2000);
    while (atomic_load(&hold_calls))
        usleep(100);
    pthread_mutex_lock(&gil);
    atomic_fetch_sub(&running, 1);
    return atomic_load(&exits) ? NULL : new_reference();
}

PyObject *PyErr_Occurred(void) { return atomic_load(&exits) ? &object : NULL; }
int PyErr_ExceptionMatches(PyObject *e) { (void)e; return atomic_load(&exits); }
void PyErr_Clear(void) { atomic_store(&exits, false); }
void PyErr_WriteUnraisable(PyObject *o) { (void)o; atomic_fetch_add(&unraisable, 1); }
PyObject *PyImport_ImportModule(const char *n) { (void)n; return new_reference(); }
PyObject *PyLong_FromUnsignedLong(unsigned long n) { (void)n; return new_reference(); }
PyObject *PyUnicode_InternFromString(const char *s) { (void)s; return new_reference(); }
PyObject *PyObject_GetAttr(PyObject *o, PyObject *n) { (void)o; (void)n; return new_reference(); }
static atomic_int forgotten;
int PyDict_Contains(PyObject *d, PyObject *k) { (void)d; (void)k; return 1; }
int PyDict_DelItem(PyObject *d, PyObject *k)
{
    (void)d; (void)k;
    atomic_fetch_add(&forgotten, 1);
    return 0;
}
void _Py_Dealloc(PyObject *o) { (void)o; abort(); }
#undef Py_FatalError
_Noreturn void Py_FatalError(const char *m) { failed(__LINE__, m); }

/* --- the rest of csrc/python/ */

struct delivery promise_take(struct notice *n)
{
    (void)n;
    return (struct delivery){ new_reference(), new_reference(), NULL };
}
void delivery_log(struct delivery d) { (void)d; }
void delivery_release(struct delivery d) { (void)d; atomic_fetch_add(&released, 1); }
static struct kept kept_of_one;
static _Atomic(void *) over = &kept_of_one;
void *request_reap(void) { return atomic_exchange(&over, NULL); }
void kept_silently(void) { }
void kept_orphaned(void *kept) { kept_release(kept); }
void kept_release(void *kept) { (void)kept; atomic_fetch_add(&released, 1); }
bool watched(void) { return false; }
void watch_tell(const char *e, PyObject *of, const char *f, ...) { (void)e; (void)of; (void)f; }
static atomic_int installed;
PyObject *in_python(const char *module, const char *function, const char *format, ...)
{
    (void)module; (void)function; (void)format;
    atomic_fetch_add(&installed, 1);
    return new_reference();
}
void datastack_keep(void) { }
void alarm_ring(void) { }   /* there is no sweeper, so nobody passes the baton on */

/* --- threads */

struct call { void (*function)(void); atomic_bool done; pthread_t thread; };

static void *run_call(void *argument)
{
    struct call *c = argument;
    c->function();
    atomic_store(&c->done, true);
    return NULL;
}

static struct call *in_thread(void (*function)(void))
{
    struct call *c = calloc(1, sizeof *c);
    c->function = function;
    CHECK(pthread_create(&c->thread, NULL, run_call, c) == 0);
    return c;
}

static bool waits(struct call *c)
{
    return !EVENTUALLY(atomic_load(&c->done), MOMENT);
}

static void end(struct call *c)
{
    CHECK(EVENTUALLY(atomic_load(&c->done), LONG));
    pthread_join(c->thread, NULL);
    free(c);
}

static void notification(void) { host_call(NULL); }

static void sweeper(void)
{
    host_sweeper_starts();
    host_call(NULL);
}

static void sweeper_reaps(void)
{
    host_sweeper_starts();
    host_reap(NULL);
}

/* --- walls */

static void a_callback_runs_in_a_thread_of_glibcs(void)
{
    end(in_thread(notification));
    CHECK(called == 1 && born == 1 && restored == 1 && released == 1 && gate_inside() == 0);
}

static void callbacks_run_one_at_a_time(void)
{
    struct call *calls[5];
    for (int i = 0; i < 5; i++)
        calls[i] = in_thread(notification);
    for (int i = 0; i < 5; i++)
        end(calls[i]);
    CHECK(called == 5 && most_running == 1);
}

static void closing_waits_for_those_on_their_way_in(void)
{
    hold_births = true;
    struct call *c = in_thread(notification);
    CHECK(EVENTUALLY(being_born == 1, LONG));
    struct call *closer = in_thread(gate_close);
    CHECK(waits(closer));
    hold_births = false;
    end(closer);
    end(c);
    CHECK(called == 1);
}

static void closing_does_not_wait_for_those_inside(void)
{
    hold_calls = true;
    struct call *c = in_thread(notification);
    CHECK(EVENTUALLY(called == 1, LONG));
    end(in_thread(gate_close));
    CHECK(gate_inside() == 1);
    hold_calls = false;
    end(c);
    CHECK(gate_inside() == 0);
}

static void nobody_enters_a_closed_gate(void)
{
    gate_close();
    end(in_thread(notification));
    end(in_thread(sweeper_reaps));
    CHECK(called == 0 && born == 0 && released == 0);
}

/* Who asks for the result has the GIL and takes for released what is not there. */
static void the_sweeper_takes_what_is_kept_when_it_has_the_gil(void)
{
    pthread_mutex_lock(&gil);
    struct call *c = in_thread(sweeper_reaps);
    CHECK(waits(c) && over != NULL);
    pthread_mutex_unlock(&gil);
    end(c);
    CHECK(over == NULL && released == 1);
}

static void a_closed_gate_keeps_no_baton(void)
{
    gate_close();
    end(in_thread(notification));
    end(in_thread(notification));   /* it would wait for the baton of the first */
}

static void no_thread_state_is_made_during_a_fork(void)
{
    hold_births = true;
    struct call *c = in_thread(notification);
    CHECK(EVENTUALLY(being_born == 1, LONG));
    struct call *fork = in_thread(gate_fork_begins);
    CHECK(waits(fork));
    hold_births = false;
    end(fork);
    end(c);
    c = in_thread(notification);
    CHECK(waits(c) && being_born == 0 && born == 1);
    gate_fork_ended();
    end(c);
    CHECK(born == 2);
}

static void the_sweeper_needs_no_baton(void)
{
    baton_take();
    end(in_thread(sweeper));
    CHECK(called == 1);
}

static void a_callback_that_exits_is_not_reported(void)
{
    exits = true;
    end(in_thread(notification));
    CHECK(called == 1 && unraisable == 0);
}

static void what_threading_knows_of_a_callback_is_forgotten(void)
{
    host_expects_callbacks();
    end(in_thread(notification));
    CHECK(forgotten == 1);
}

static void a_callback_gets_the_hooks_of_debuggers(void)
{
    host_expects_callbacks();
    end(in_thread(notification));
    CHECK(installed == 2);
}

static void a_thread_of_pythons_keeps_its_state(void)
{
    known = true;
    host_expects_callbacks();
    host_call(NULL);
    CHECK(born == 0 && known && forgotten == 0 && installed == 0);
}

#define WALLS(WALL) \
    WALL(a_callback_runs_in_a_thread_of_glibcs) WALL(callbacks_run_one_at_a_time) \
    WALL(closing_waits_for_those_on_their_way_in) WALL(closing_does_not_wait_for_those_inside) \
    WALL(nobody_enters_a_closed_gate) WALL(a_closed_gate_keeps_no_baton) \
    WALL(the_sweeper_takes_what_is_kept_when_it_has_the_gil) \
    WALL(no_thread_state_is_made_during_a_fork) WALL(the_sweeper_needs_no_baton) \
    WALL(a_callback_that_exits_is_not_reported) \
    WALL(what_threading_knows_of_a_callback_is_forgotten) \
    WALL(a_callback_gets_the_hooks_of_debuggers) WALL(a_thread_of_pythons_keeps_its_state)

int main(int argc, char **argv)
{
    gate_start();
#define TRY(name) \
    if (argc == 2 && strcmp(argv[1], #name) == 0) { \
        name(); \
        _exit(0); \
    }
#define PRINT(name) puts(#name);
    WALLS(TRY)
    WALLS(PRINT)
    return argc == 2;
}
