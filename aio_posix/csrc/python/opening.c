/* Opens and closes files at once on the event loop where that cannot wait, and otherwise in a
 * thread of the caller's.
 *
 * - open_now() opens only what the kernel finds in its caches (RESOLVE_CACHED), and only regular
 *   files of known local mounts (mounts.h).  An O_PATH descriptor is looked at first, because to
 *   open a FIFO or a device has effects, and to open a file of NFS or FUSE waits for others.
 *   O_NONBLOCK keeps a lease from being waited for and is taken off again.
 * - Whatever is wrong makes open_now() decline.  The OpenCall finds out and raises.
 */
#include "jobs.h"
#include "mounts.h"
#include "page_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SMALL = 1 << 20 };

static int openat2_cached(const char *path, uint64_t flags)
{
    struct open_how how = { .flags = flags, .resolve = RESOLVE_CACHED };
    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static int open_cached(const char *path, int flags, struct found *found)
{
    /* ENOSYS before Linux 5.6, EINVAL for RESOLVE_CACHED before 5.12, EPERM by seccomp */
    static atomic_bool refused;
    if (atomic_load_explicit(&refused, memory_order_relaxed))
        return -1;
    int path_only = openat2_cached(path, O_PATH | O_CLOEXEC);
    if (path_only < 0) {
        if (errno == ENOSYS || errno == EINVAL || errno == EPERM)
            atomic_store(&refused, 1);
        return -1;
    }
    int rc = mount_look(path_only, found);
    close(path_only);
    enum trust trust = rc == 0 && S_ISREG(found->mode) ? mount_trust(found->mount) : UNKNOWN;
    if (trust == UNKNOWN || (trust == READING && (flags & O_ACCMODE) != O_RDONLY))
        return -1;
    uint64_t mount = found->mount;
    int fd = openat2_cached(path, (uint64_t)(flags | O_NONBLOCK));
    if (fd < 0)
        return -1;
    if (mount_look(fd, found) == 0 && S_ISREG(found->mode) && found->mount == mount
        && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0)
        return fd;
    close(fd);      /* another file has come in its place meanwhile */
    return -1;
}

/* open_now(path, flags) -> (fd, size) of a regular file that needs no waiting, or None */
static PyObject *open_now(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "expected path, flags");
        return NULL;
    }
    long flags = PyLong_AsLong(args[1]);
    if (flags == -1 && PyErr_Occurred())
        return NULL;
    if (flags & (O_CREAT | O_TRUNC))
        return none();
    PyObject *path;
    if (!PyUnicode_FSConverter(args[0], &path))
        return NULL;
    struct found found;
    int fd = open_cached(PyBytes_AsString(path), (int)flags, &found);
    Py_DECREF(path);
    if (fd < 0)
        return none();
    if (!(flags & O_DIRECT))
        page_cache_trust(fd);
    PyObject *result = Py_BuildValue("iK", fd, (unsigned long long)found.size);
    if (result == NULL)
        close(fd);
    return result;
}

/* An open that may wait, and what is known of the file then. */
struct open_call {
    struct python_job base;
    PyObject *path, *name;             /* as it was given, and bytes */
    int flags, fd, error;
    atomic_bool abandoned;
    struct found found;
};

static void perform(struct job *job)
{
    struct open_call *o = (struct open_call *)whole(job);
    do
        o->fd = open(PyBytes_AsString(o->name), o->flags, 0666);
    while (o->fd < 0 && errno == EINTR);
    if (o->fd < 0) {
        o->error = errno;
    } else if (mount_look(o->fd, &o->found) != 0) {
        struct stat st;     /* a seccomp profile that is older than statx() */
        if (fstat(o->fd, &st) == 0)
            o->found = (struct found){ .mode = st.st_mode, .size = (uint64_t)st.st_size };
        else
            o->error = errno;
    }
    if (o->error == 0 && S_ISDIR(o->found.mode))
        o->error = EISDIR;
    if (o->error == 0)
        mount_learn(o->fd, o->found.mount);
    if (o->fd >= 0 && (o->error || atomic_load(&o->abandoned))) {
        close(o->fd);
        o->fd = -1;
    }
}

static PyObject *open_call_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)kwargs;
    PyObject *self = job_new(type, args, perform);
    struct open_call *o = (struct open_call *)self;
    if (self == NULL)
        return NULL;
    o->fd = -1;
    PyObject *end;
    if (PyArg_ParseTuple(args, "OOi", &end, &o->path, &o->flags)) {
        Py_INCREF(o->path);
        if (PyUnicode_FSConverter(o->path, &o->name))
            return self;
    } else {
        o->path = NULL;
    }
    Py_DECREF(self);
    return NULL;
}

static void open_call_dealloc(PyObject *self)
{
    struct open_call *o = (struct open_call *)self;
    if (o->fd >= 0)
        close(o->fd);
    Py_XDECREF(o->path);
    Py_XDECREF(o->name);
    job_dealloc(self);
}

/* Raises as io.FileIO does. */
static PyObject *open_call_take(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct open_call *o = (struct open_call *)self;
    if (o->error) {
        errno = o->error;
        return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, o->path);
    }
    if (atomic_load(&o->base.job.state) != DONE || o->fd < 0) {
        PyErr_SetString(PyExc_RuntimeError, "there is no open file to be taken");
        return NULL;
    }
    PyObject *result = Py_BuildValue("iIKN", o->fd, o->found.mode,
                                     (unsigned long long)o->found.size,
                                     PyBool_FromLong(mount_trust(o->found.mount) != UNKNOWN));
    if (result != NULL)
        o->fd = -1;
    return result;
}

static PyObject *open_call_abandon(PyObject *self, PyObject *unused)
{
    (void)unused;
    atomic_store(&((struct open_call *)self)->abandoned, true);
    return none();
}

static PyMethodDef open_call_methods[] = {
    { "take", open_call_take, METH_NOARGS,
      "take() -> (fd, st_mode, st_size, is_local(fd)) of the open file, or raises OSError" },
    { "abandon", open_call_abandon, METH_NOARGS, "abandon(): nobody will take it" },
    { NULL, NULL, 0, NULL },
};

int opening_start(PyObject *module)
{
    PyType_Slot slots[] = {
        function_slot(Py_tp_new, (void (*)(void))open_call_new),
        function_slot(Py_tp_dealloc, (void (*)(void))open_call_dealloc),
        { Py_tp_methods, open_call_methods },
        { 0, NULL },
    };
    return job_type(module, "aio_posix._calls.OpenCall", sizeof(struct open_call), slots) ? 0 : -1;
}

/* is_local(fd) -> bool says whether it is of a file system whose files can be asked for their size
 * without waiting for others.  It may itself wait. */
static PyObject *is_local(PyObject *self, PyObject *number)
{
    (void)self;
    int fd = (int)PyLong_AsLong(number);
    if (PyErr_Occurred())
        return NULL;
    struct found found = { 0 };
    Py_BEGIN_ALLOW_THREADS
    if (mount_look(fd, &found) == 0)
        mount_learn(fd, found.mount);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(mount_trust(found.mount) != UNKNOWN);
}

/* close_now(fd) -> bool closes a file of open_now() that was not written to.  Not the last link
 * of a large file, whose blocks close() would give back. */
static PyObject *close_now(PyObject *self, PyObject *number)
{
    (void)self;
    int fd;
    if (int_of(number, &fd) != 0)
        return NULL;
    struct stat st;
    if (fstat(fd, &st) != 0 || (st.st_nlink == 0 && st.st_size > SMALL))
        return PyBool_FromLong(0);
    return PyBool_FromLong(close(fd) == 0);
}

PyMethodDef opening_methods[] = {
    { "open_now", FASTCALL(open_now), NULL },
    { "is_local", is_local, METH_O, NULL },
    { "close_now", close_now, METH_O, NULL },
    { NULL, NULL, 0, NULL },
};
