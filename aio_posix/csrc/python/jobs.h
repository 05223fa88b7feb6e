/* Jobs as Python sees them.  A kind of job is a type with perform(), which needs no Python. */
#ifndef AIO_POSIX_PYTHON_JOBS_H
#define AIO_POSIX_PYTHON_JOBS_H
#include "python.h"
#include "../engine/jobs.h"

struct python_job {
    PyObject_HEAD
    struct job job;
};

static inline struct python_job *whole(struct job *job)
{
    return (struct python_job *)((char *)job - offsetof(struct python_job, job));
}

/* The only argument of each kind is the Ended of its loop.  NULL with an exception. */
PyObject *job_new(PyTypeObject *type, PyObject *args, void (*perform)(struct job *));
void job_dealloc(PyObject *self);
PyTypeObject *job_type(PyObject *module, const char *name, int size, PyType_Slot slots[]);
int jobs_start(PyObject *module);

#endif
