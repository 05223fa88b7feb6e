/* State: the two types that others are made of, which the module keeps.
 *
 * - A line has a reference to each job in it.  It goes with the job to whoever takes it and on to
 *   the loop that collects it.  A thread without the GIL touches no other reference.
 * - What a closed loop does not collect goes to the thread's Python, which calls orphaned().
 */
#include "jobs.h"

#include <stdlib.h>

struct callable {                      /* a job of Python's */
    struct job job;
    PyObject *call;
};

struct line {
    PyObject_HEAD
    struct jobs jobs;
};

struct loop_end {
    PyObject_HEAD
    struct ended *ended;
};

static PyTypeObject *base, *end_type;

/* --- a job */

PyObject *job_new(PyTypeObject *type, PyObject *args, void (*perform)(struct job *))
{
    PyObject *end = PyTuple_Size(args) > 0 ? PyTuple_GetItem(args, 0) : NULL;
    if (end == NULL || !PyObject_TypeCheck(end, end_type)) {
        PyErr_SetString(PyExc_TypeError, "expected an Ended");
        return NULL;
    }
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    struct job *job = &((struct python_job *)self)->job;
    job->perform = perform;
    job->ended = ((struct loop_end *)end)->ended;
    atomic_fetch_add(&job->ended->users, 1);
    return self;
}

void job_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release;
    slot_of(type, Py_tp_free, &release);
    if (((struct python_job *)self)->job.ended != NULL)
        ended_drop(((struct python_job *)self)->job.ended);
    release(self);
    Py_DECREF(type);
}

/* Does it in this thread, unless it was begun. */
static PyObject *job_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    struct job *job = &((struct python_job *)self)->job;
    int was;
    LOCKED(self, was = job_claim(job));
    if (was == -1)
        return none();
    Py_BEGIN_ALLOW_THREADS
    job->perform(job);
    Py_END_ALLOW_THREADS
    atomic_store(&job->state, DONE);
    if (was == NEW)
        Py_INCREF(self);               /* as a line has one */
    if (!ended_push(job))
        Py_DECREF(self);
    return none();
}

static PyObject *job_is(PyObject *self, void *state)
{
    int now = atomic_load(&((struct python_job *)self)->job.state);
    return PyBool_FromLong(now >= (state == NULL ? BEGUN : DONE));
}

static char done;
static PyGetSetDef job_members[] = {
    { "begun", job_is, NULL, NULL, NULL },
    { "done", job_is, NULL, NULL, &done },
    { NULL, NULL, NULL, NULL, NULL },
};

PyTypeObject *job_type(PyObject *module, const char *name, int size, PyType_Slot slots[])
{
    return subtype_of(module, name, size, Py_TPFLAGS_BASETYPE, slots, base);
}

/* --- a line */

static PyObject *line_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args, (void)kwargs;
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self != NULL)
        jobs_init(&((struct line *)self)->jobs);
    return self;
}

/* In a forked child threads of the parent seem to wait for it, so it is not taken apart. */
static void line_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *line_put(PyObject *self, PyObject *object)
{
    struct jobs *jobs = &((struct line *)self)->jobs;
    bool free_thread, taken;
    Py_INCREF(object);
    if (PyObject_TypeCheck(object, base)) {
        struct job *job = &((struct python_job *)object)->job;
        LOCKED(object, taken = jobs_put(jobs, job, &free_thread));
        if (!taken)
            Py_DECREF(object);
        return PyBool_FromLong(!taken || free_thread);
    }
    struct callable *callable = calloc(1, sizeof *callable);
    if (callable == NULL) {
        Py_DECREF(object);
        return PyErr_NoMemory();
    }
    callable->call = object;
    jobs_put(jobs, &callable->job, &free_thread);
    return PyBool_FromLong(free_thread);
}

/* Does jobs that need no Python.  Another, or one whose loop has closed, or NULL after a pause. */
static struct job *take(struct jobs *jobs, double seconds)
{
    for (;;) {
        struct job *job = jobs_take(jobs, seconds);
        if (job == NULL || job->perform == NULL)
            return job;
        job->perform(job);
        atomic_store(&job->state, DONE);
        if (!ended_push(job))
            return job;
    }
}

static PyObject *line_get(PyObject *self, PyObject *pause)
{
    double seconds = PyFloat_AsDouble(pause);
    if (PyErr_Occurred())
        return NULL;
    struct job *job;
    Py_BEGIN_ALLOW_THREADS
    job = take(&((struct line *)self)->jobs, seconds);
    Py_END_ALLOW_THREADS
    if (job == NULL)
        return none();
    if (job->perform == NULL) {
        struct callable *callable = (struct callable *)job;
        PyObject *call = callable->call;
        free(callable);
        return call;
    }
    PyObject *object = (PyObject *)whole(job);
    PyObject *orphaned = PyObject_GetAttrString(object, "orphaned");
    Py_DECREF(object);
    return orphaned;
}

static PyObject *line_waiting(PyObject *self, void *unused)
{
    (void)unused;
    struct jobs *jobs = &((struct line *)self)->jobs;
    pthread_mutex_lock(&jobs->mutex);
    size_t waiting = jobs->queued > jobs->idle ? jobs->queued - jobs->idle : 0;
    pthread_mutex_unlock(&jobs->mutex);
    return PyLong_FromSize_t(waiting);
}

static PyObject *line_begun(PyObject *self, void *unused)
{
    (void)unused;
    struct jobs *jobs = &((struct line *)self)->jobs;
    pthread_mutex_lock(&jobs->mutex);
    size_t begun = jobs->begun;
    pthread_mutex_unlock(&jobs->mutex);
    return PyLong_FromSize_t(begun);
}

static PyObject *line_idle(PyObject *self, void *unused)
{
    (void)unused;
    struct jobs *jobs = &((struct line *)self)->jobs;
    pthread_mutex_lock(&jobs->mutex);
    size_t idle = jobs->idle > jobs->queued ? jobs->idle - jobs->queued : 0;
    pthread_mutex_unlock(&jobs->mutex);
    return PyLong_FromSize_t(idle);
}

static PyMethodDef line_methods[] = {
    { "put", line_put, METH_O, "put(job, /) -> whether a thread is free for it" },
    { "get", line_get, METH_O, "get(seconds, /) -> what Python has to do, or None" },
    { NULL, NULL, 0, NULL },
};
static PyGetSetDef line_members[] = {
    { "waiting", line_waiting, NULL, "jobs that no thread is free for", NULL },
    { "begun", line_begun, NULL, "jobs that were begun so far", NULL },
    { "idle", line_idle, NULL, "threads that no job is there for", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

/* --- the ends that a loop collects */

static PyObject *end_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    struct bell *bell = PyTuple_Size(args) == 1 ? PyLong_AsVoidPtr(PyTuple_GetItem(args, 0)) : NULL;
    if (bell == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "expected the address of a bell");
        return NULL;
    }
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    struct ended *ended = ((struct loop_end *)self)->ended = ended_new(bell);
    if (ended != NULL)
        return self;
    Py_DECREF(self);
    return PyErr_NoMemory();
}

/* They go to a list of the caller's: what is returned is lost when a signal handler raises.  What
 * finds no room is collected the next time. */
static PyObject *hand_out(struct job *job, PyObject *found)
{
    bool room = true;
    while (job != NULL) {
        struct job *next = job->next;
        PyObject *object = (PyObject *)whole(job);
        room = room && (found == NULL || PyList_Append(found, object) == 0);
        if (room || !ended_push_again(job))
            Py_DECREF(object);
        job = next;
    }
    return room ? none() : NULL;
}

static PyObject *end_collect(PyObject *self, PyObject *found)
{
    return hand_out(ended_collect(((struct loop_end *)self)->ended), found);
}

static PyObject *end_close(PyObject *self, PyObject *found)
{
    return hand_out(ended_close(((struct loop_end *)self)->ended), found);
}

static PyObject *end_wake(PyObject *self, PyObject *unused)
{
    (void)unused;
    ended_wake(((struct loop_end *)self)->ended);
    return none();
}

static PyObject *end_sleep(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(ended_sleep(((struct loop_end *)self)->ended));
}

static PyObject *end_out(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(atomic_load(&((struct loop_end *)self)->ended->out));
}

static void end_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (((struct loop_end *)self)->ended != NULL) {
        Py_XDECREF(hand_out(ended_close(((struct loop_end *)self)->ended), NULL));
        ended_drop(((struct loop_end *)self)->ended);
    }
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef end_methods[] = {
    { "collect", end_collect, METH_O, "collect(found, /): appends the jobs done by now" },
    { "close", end_close, METH_O, "close(found, /): the same, for the last time" },
    { "wake", end_wake, METH_NOARGS, "wake(): the bell need not ring" },
    { "sleep", end_sleep, METH_NOARGS, "sleep() -> whether the bell will ring for the next" },
    { NULL, NULL, 0, NULL },
};

static PyGetSetDef end_members[] = {
    { "out", end_out, NULL, "jobs that were put or begun, and not collected", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

int jobs_start(PyObject *module)
{
    PyType_Slot job[] = {
        function_slot(Py_tp_dealloc, (void (*)(void))job_dealloc),
        function_slot(Py_tp_call, (void (*)(void))job_call),
        { Py_tp_getset, job_members },
        { 0, NULL },
    };
    PyType_Slot line[] = {
        function_slot(Py_tp_new, (void (*)(void))line_new),
        function_slot(Py_tp_dealloc, (void (*)(void))line_dealloc),
        { Py_tp_methods, line_methods },
        { Py_tp_getset, line_members },
        { 0, NULL },
    };
    PyType_Slot end[] = {
        function_slot(Py_tp_new, (void (*)(void))end_new),
        function_slot(Py_tp_dealloc, (void (*)(void))end_dealloc),
        { Py_tp_methods, end_methods },
        { Py_tp_getset, end_members },
        { 0, NULL },
    };
    base = type_of(module, "aio_posix._calls.Job", sizeof(struct python_job),
                   Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, job);
    end_type = type_of(module, "aio_posix._calls.Ended", sizeof(struct loop_end), 0, end);
    if (base == NULL || end_type == NULL)
        return -1;
    return type_of(module, "aio_posix._calls.Jobs", sizeof(struct line), 0, line) ? 0 : -1;
}
