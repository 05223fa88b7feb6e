/* All that runs in threads which Python did not start: glibc's notification threads and our sweeper.
 *
 * State: the table of notices (never freed, so that a ticket which comes late or twice is only ever stale);
 * the gate (`turn`, `closed`, `inside`); the sweeper (`sweeping`, `dozing`, `owed`); the tables of flight.py.
 *
 * - Every SIGEV_THREAD notification enters by notified() with a ticket (index, generation) instead of a pointer.
 *   Whoever claims a notice delivers it: the notification thread, or the sweeper if that thread was never
 *   made (glibc does not notice when pthread_create fails).  A claim is made under `life`, so exactly one wins.
 * - The gate: a thread goes into Python only while it is open.  `turn` is held while it waits for the GIL and
 *   given up once it has it: threads that wait for the GIL wake each other every 5 ms, so only one waits at a
 *   time.  Closing the gate under `turn` therefore leaves nobody on the way in.
 * - No Python object is touched before the GIL is held, and nothing but `life` and `turn` is waited for.
 */
#include "python.h"
#include "notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CHUNKS = 4096,                          /* of CHUNK notices: 4 million owed at once */
    SWEEP_MS = 250,                         /* a lost notification comes after two sweeps: at most 0.5 s */
    IDLE_SWEEPS = 8,                        /* then it sleeps until something is owed again */
    ORPHANS_AT_ONCE = 256,
    PATIENCE_MS = 5,                        /* the interpreter's own switch interval */
};

struct pass {
    uint64_t baton;
    PyGILState_STATE gil;
};

static struct notice *chunks[CHUNKS];
static uint32_t notices;
static size_t owed;

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER, door = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t passed;
static uint64_t holder;
static atomic_bool closed;
static atomic_int inside;

static int sweeping, dozing;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static pthread_attr_t callback_attr;

static PyObject *in_flight, *owed_by, *free_notices, *threads;   /* of flight.py; held for ever */

/* --- notices ------------------------------------------------------------------------------------------- */

static struct notice *notice_at(uint32_t index)
{
    return &chunks[index / CHUNK][index % CHUNK];
}

/* Makes CHUNK more; returns the first index, or NO_NOTICE. */
uint32_t notices_grow(void)
{
    uint32_t first = NO_NOTICE;
    pthread_mutex_lock(&life);
    if (notices / CHUNK < CHUNKS && (chunks[notices / CHUNK] = calloc(CHUNK, sizeof(struct notice))) != NULL) {
        first = notices;
        notices += CHUNK;
        for (uint32_t i = first; i < notices; i++)
            notice_at(i)->index = i;
    }
    pthread_mutex_unlock(&life);
    return first;
}

static void notified(union sigval value);

static struct notice *owe(uint32_t index, struct plan *plan, struct sigevent *sigev)
{
    struct notice *n = notice_at(index);
    n->generation++;
    n->state = NOTICE_OWED;
    n->sweeps = 0;
    n->parts = 1;
    n->request = NULL;
    n->members = NULL;
    n->serials = NULL;
    n->queue = plan->queue;
    if (n->queue)
        queue_hold(n->queue);
    sigev->sigev_notify_function = notified;
    sigev->sigev_notify_attributes = &plan->attr;
    sigev->sigev_value.sival_ptr = (void *)((uintptr_t)n->generation << 32 | index);
    owed++;
    return n;
}

void notice_owe(uint32_t index, struct request *r, uint64_t serial, struct plan *plan, struct sigevent *sigev)
{
    struct notice *n = owe(index, plan, sigev);
    n->request = r;
    n->serial = serial;
}

struct notice *notice_owe_list(uint32_t index, struct request **list, size_t n, struct plan *plan,
                               struct sigevent *sigev)
{
    uint64_t *serials = malloc((n ? n : 1) * sizeof *serials);
    if (serials == NULL)
        return NULL;
    struct notice *notice = owe(index, plan, sigev);
    notice->members = list;
    notice->serials = serials;
    notice->count = n;
    notice->parts = n ? (unsigned)((n + PIECE - 1) / PIECE) : 1;
    return notice;
}

static void settle_notice(struct notice *n, int state)
{
    n->state = state;
    free(n->serials);
    n->serials = NULL;
    owed--;
}

/* The submission failed: nobody will be told. */
void notice_forgive(uint32_t index)
{
    struct notice *n = notice_at(index);
    settle_notice(n, NOTICE_FREE);
    if (n->queue)
        queue_drop(n->queue);
}

static int done(struct notice *n)
{
    int all = 1;
    if (n->members == NULL)
        return request_settle(n->request, n->serial);
    for (size_t i = 0; i < n->count; i++)
        all &= request_settle(n->members[i], n->serials[i]);
    return all;
}

/* --- into Python --------------------------------------------------------------------------------------- */

static void forget(PyObject *table, PyObject *key)
{
    if (PyDict_GetItem(table, key) != NULL && PyDict_DelItem(table, key) != 0)
        PyErr_Clear();
}

/* What take() in flight.py does for a queue, and then the callback. */
static void call(uint32_t index)
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
    PyObject *function = PyTuple_GetItem(told, 0), *value = PyTuple_GetItem(told, 1), *serial;
    PyObject *serials = PyObject_GetIter(PyTuple_GetItem(told, 2));
    while (serials != NULL && (serial = PyIter_Next(serials)) != NULL) {
        forget(in_flight, serial);
        Py_DECREF(serial);
    }
    Py_XDECREF(serials);

    PyObject *result = PyObject_CallFunctionObjArgs(function, value, NULL);
    if (result == NULL)
        PyErr_WriteUnraisable(function);
    Py_XDECREF(result);
    Py_DECREF(told);
    if (PyDict_Size(threads) > 0 && (key = PyLong_FromUnsignedLong((unsigned long)pthread_self())) != NULL) {
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

static int enter(struct pass *pass)
{
    pthread_mutex_lock(&turn);
    int open = !atomic_load(&closed);
    if (open) {
        atomic_fetch_add(&inside, 1);
        pass->baton = take_baton();
        pass->gil = PyGILState_Ensure();
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

/* For a queue that nobody will read again, Python has a function that only lets go of the request. */
void discard(struct notice *n)
{
    struct pass pass;
    if (enter(&pass)) {
        call(n->index);
        leave_python(&pass);
    }
}

static void deliver(struct notice *n)
{
    if (n->queue)
        queue_push(n);
    else
        discard(n);
}

static void notified(union sigval value)
{
    uintptr_t ticket = (uintptr_t)value.sival_ptr;
    struct notice *n = notice_at((uint32_t)ticket);
    pthread_mutex_lock(&life);
    int mine = n->generation == ticket >> 32 && n->state == NOTICE_OWED && (n->parts == 0 || --n->parts == 0) && done(n);
    if (mine)
        settle_notice(n, NOTICE_CLAIMED);
    pthread_mutex_unlock(&life);
    if (mine)
        deliver(n);
}

/* Nobody goes in from now on.  Waits for those inside, at most so many milliseconds; returns how many remain. */
int gate_close(int milliseconds)
{
    atomic_store(&closed, true);
    pthread_mutex_lock(&turn);
    pthread_mutex_unlock(&turn);
    struct timespec pause = { 0, 1000000 };
    while (atomic_load(&inside) > 0 && milliseconds-- > 0)
        nanosleep(&pause, NULL);
    return atomic_load(&inside);
}

/* --- the sweeper --------------------------------------------------------------------------------------- */

static void *courier(void *notice)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);   /* as in glibc's notification threads */
    deliver(notice);
    return NULL;
}

/* In a thread of its own, for a callback may block; in ours when there can be no thread. */
static void deliver_lost(struct notice *n)
{
    pthread_t thread;
    if (n->queue || pthread_create(&thread, &callback_attr, courier, n) != 0)
        deliver(n);
}

static void reap_orphans(const uint64_t *serials, int n)
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

/* Under life. One notice that was found done in two sweeps and still waits for its thread. */
static struct notice *find_lost(uint32_t *from)
{
    for (uint32_t i = *from; owed > 0 && i < notices; i++) {
        struct notice *n = notice_at(i);
        if (n->state == NOTICE_OWED && done(n) && ++n->sweeps >= 2) {
            settle_notice(n, NOTICE_CLAIMED);
            *from = i + 1;
            return n;
        }
    }
    return NULL;
}

static void *sweep(void *unused)
{
    uint64_t serials[ORPHANS_AT_ONCE];
    struct timespec pause = { 0, SWEEP_MS * 1000000L };
    (void)unused;
    pthread_mutex_lock(&life);
    for (int idle = 0;;) {
        struct notice *lost;
        uint32_t from = 0;
        while ((lost = find_lost(&from)) != NULL) {
            pthread_mutex_unlock(&life);
            deliver_lost(lost);
            pthread_mutex_lock(&life);
        }
        int reaped = orphans_reap(serials, ORPHANS_AT_ONCE);
        idle = owed > 0 || reaped >= 0 ? 0 : idle + 1;
        dozing = idle >= IDLE_SWEEPS;
        if (dozing)
            while (dozing)
                pthread_cond_wait(&wanted, &life);
        pthread_mutex_unlock(&life);
        reap_orphans(serials, reaped);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&life);
    }
    return NULL;
}

/* Under life, before something may come to be owed.  0, or the errno of pthread_create. */
int sweeper_needed(void)
{
    pthread_t thread;
    sigset_t all, old;
    int error = 0;
    if (sweeping) {
        if (dozing) {
            dozing = 0;
            pthread_cond_signal(&wanted);
        }
        return 0;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);   /* no signal of the program may land in it */
    error = pthread_create(&thread, &callback_attr, sweep, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    sweeping = error == 0;
    return error;
}

/* --- plans --------------------------------------------------------------------------------------------- */

/* A sigevent; stack 0 means ours.  NULL with errno EINVAL for a stack that pthread_attr_setstacksize refuses. */
struct plan *plan_new(int notify, int signo, uintptr_t value, int self, struct queue *queue, size_t stack)
{
    struct plan *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->sigev.sigev_notify = notify;
    p->sigev.sigev_signo = signo;
    p->sigev.sigev_value.sival_ptr = (void *)value;
    p->self = self;
    p->queue = queue;
    pthread_attr_init(&p->attr);
    pthread_attr_setdetachstate(&p->attr, PTHREAD_CREATE_DETACHED);   /* a joinable one would leak its stack */
    int error = pthread_attr_setstacksize(&p->attr, stack ? stack : queue ? QUEUE_STACK : CALLBACK_STACK);
    if (error) {
        free(p);
        errno = error;
        return NULL;
    }
    if (queue) {
        queue_hold(queue);
    } else if (notify == SIGEV_THREAD) {
        PyGILState_STATE gil = PyGILState_Ensure();
        datastack_keep();
        PyGILState_Release(gil);
    }
    return p;
}

void plan_free(struct plan *p)
{
    pthread_attr_destroy(&p->attr);
    if (p->queue)
        queue_drop(p->queue);
    free(p);
}

/* --- start --------------------------------------------------------------------------------------------- */

static PyObject *named(PyObject *module, const char *name)
{
    return module ? PyObject_GetAttrString(module, name) : NULL;
}

/* Once, from flight.py: 0, or -1 when this process has loaded the package before. */
int notify_start(const char *module_name)
{
    int rc = -1;
    PyGILState_STATE gil = PyGILState_Ensure();
    if (in_flight == NULL) {
        PyObject *module = PyImport_ImportModule(module_name);
        in_flight = named(module, "in_flight");
        owed_by = named(module, "owed");
        free_notices = named(module, "free");
        threads = named(module, "threads");
        Py_XDECREF(module);
        PyErr_Clear();
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&passed, &monotonic);
        pthread_attr_init(&callback_attr);
        pthread_attr_setdetachstate(&callback_attr, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&callback_attr, CALLBACK_STACK);
        rc = in_flight && owed_by && free_notices && threads ? 0 : -1;
    }
    PyGILState_Release(gil);
    return rc;
}
