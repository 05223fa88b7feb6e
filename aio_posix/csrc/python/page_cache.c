/* Reads what is in the page cache already, without a thread and without waiting, and for a bounded
 * time in each task.
 *
 * State, for each thread: its slice, which ends when the running task has to give the event loop a
 * turn.  What is known of descriptors is trusted no longer than the slice.
 *
 * - A read is made only with RWF_NOWAIT, on a regular file or block device, and not with O_DIRECT
 *   (where the flag does not keep the kernel from waiting for the device).  Whatever else
 *   happens, the answer is None.  declined() says why, and AIO finds out about errors.
 * - The clock is read every CREDIT units of work.  A unit is a read, or the copy of UNIT bytes, and
 *   takes 1 to UNIT_NS nanoseconds.  An open slice is good for one read at least.
 * - Up to HELD bytes are copied with the GIL held, because to release it and to take it takes
 *   longer.
 */
#include "python.h"
#include "page_cache.h"
#include "spare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CREDIT = 16, UNIT = 16 << 10, UNIT_NS = 4000, HELD = 64 << 10, KNOWN = 64 };
enum { PAGE = 4096 };                 /* or a multiple of it */

struct slice {
    int64_t until;                    /* nanoseconds, or 0 if no slice is open */
    Py_ssize_t credit;
    int spent;                        /* the last slice ran out, and nobody has rested since */
    int why;
    unsigned number;
    struct { int fd, why; unsigned number; } known[KNOWN];
};

/* Found by a call, and so once for each read. */
static _Thread_local struct slice of_thread;

static atomic_bool off;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

/* Without asking a server, which fstat() may wait for. */
static int look_at(int fd)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) != 0)
        return OTHERWISE;
    if (!S_ISREG(st.stx_mode) && !S_ISBLK(st.stx_mode))
        return STREAM;
    return fcntl(fd, F_GETFL) & O_DIRECT ? UNCACHED : MAY;
}

static int spend(struct slice *s, ssize_t units)
{
    s->why = REST;
    if (s->until == 0)
        return 0;
    if (s->credit <= 0) {
        int64_t left = s->until - now_ns();
        if (left <= 0) {
            s->until = 0;
            s->spent = 1;
            return 0;
        }
        s->credit = left < CREDIT * UNIT_NS ? 1 + left / UNIT_NS : CREDIT;
    }
    s->credit -= units;
    return 1;
}

/* Whether the task may go on for so many units of work (see above); declined() says REST if not. */
int slice_spend(ssize_t units)
{
    return spend(&of_thread, units);
}

void page_cache_trust(int fd)
{
    struct slice *s = &of_thread;
    unsigned i = (unsigned)fd % KNOWN;
    s->known[i].fd = fd;
    s->known[i].number = s->number;
    s->known[i].why = MAY;
}

/* MAY, or why not. */
static int permission(struct slice *s, int fd, Py_ssize_t nbytes)
{
    unsigned i = (unsigned)fd % KNOWN;
    if (atomic_load_explicit(&off, memory_order_relaxed))
        return UNSUPPORTED;
    if (!spend(s, 1 + nbytes / UNIT))
        return REST;
    if (s->known[i].fd != fd || s->known[i].number != s->number) {
        s->known[i].fd = fd;
        s->known[i].number = s->number;
        s->known[i].why = look_at(fd);
    }
    return s->known[i].why;
}

/* preadv2(), which is no cancellation point here: no thread of ours is ever cancelled. */
static ssize_t nowait(int fd, char *to, Py_ssize_t nbytes, int64_t offset)
{
    struct iovec iov = { to, (size_t)nbytes };
    return syscall(SYS_preadv2, fd, &iov, 1UL, (long)offset, 0L, RWF_NOWAIT);
}

static ssize_t resident(struct slice *s, int fd, char *to, Py_ssize_t nbytes, int64_t offset)
{
    ssize_t n;
    if (nbytes <= HELD) {
        n = nowait(fd, to, nbytes, offset);
    } else {
        Py_BEGIN_ALLOW_THREADS
        n = nowait(fd, to, nbytes, offset);
        Py_END_ALLOW_THREADS
    }
    if (n >= 0)
        return n;
    s->why = errno == EAGAIN || errno == EINTR ? ABSENT : OTHERWISE;
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM)
        s->why = s->known[(unsigned)fd % KNOWN].why = UNSUPPORTED;
    return -1;
}

/* All of it, or what is left before the end of the file; -1 if the page cache has not all.  It has
 * a page or has not.  So a read into memory of ours stops within one at the end of the file only.
 * A buffer of the caller may also fault there, which the next read tells. */
static ssize_t whole(struct slice *s, int fd, char *to, Py_ssize_t nbytes, int64_t offset,
                     bool ours)
{
    ssize_t got = 0, more;
    do {
        more = resident(s, fd, to + got, nbytes - got, offset + got);
        if (more < 0)
            return -1;
        got += more;
    } while (more > 0 && got < nbytes && !(ours && (offset + got) % PAGE != 0));
    return got;
}

static PyObject *bytes_of(struct slice *s, int fd, Py_ssize_t nbytes, int64_t offset)
{
    s->why = OTHERWISE;
    if (nbytes < 0 || nbytes > NOW_MOST || offset < 0 || fd < 0)
        return none();
    if ((s->why = permission(s, fd, nbytes)) != MAY)
        return none();
    PyObject *data = spare_bytes(nbytes);
    if (data == NULL)
        return NULL;
    char *to = PyBytes_AsString(data);
    Py_ssize_t got = whole(s, fd, to, nbytes, offset, true);
    if (got == nbytes)
        return data;
    PyObject *less = got < 0 ? none() : PyBytes_FromStringAndSize(to, got);
    Py_DECREF(data);
    return less;
}

PyObject *page_cache_read(int fd, Py_ssize_t nbytes, int64_t offset)
{
    return bytes_of(&of_thread, fd, nbytes, offset);
}

/* read_now(fd, nbytes, offset) -> all of it, or what is left before the end of the file, or None */
static PyObject *read_now(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    if (nargs != 3) {
        PyErr_SetString(PyExc_TypeError, "expected fd, nbytes, offset");
        return NULL;
    }
    struct slice *s = &of_thread;
    s->why = OTHERWISE;
    if (!PyLong_CheckExact(args[0]) && (!PyLong_Check(args[0]) || PyBool_Check(args[0])))
        return none();
    int fd;
    if (int_of(args[0], &fd) != 0)
        return NULL;
    Py_ssize_t nbytes = PyLong_CheckExact(args[1])
                            ? PyLong_AsSsize_t(args[1])
                            : PyNumber_AsSsize_t(args[1], PyExc_OverflowError);
    int64_t offset = PyLong_AsLongLong(args[2]);
    if ((nbytes == -1 || offset == -1) && PyErr_Occurred())
        return NULL;
    return bytes_of(s, fd, nbytes, offset);
}

ssize_t page_cache_fill(int fd, char *to, Py_ssize_t nbytes, int64_t offset)
{
    struct slice *s = &of_thread;
    s->why = OTHERWISE;
    if (nbytes > NOW_MOST || (s->why = permission(s, fd, nbytes)) != MAY)
        return -1;
    return whole(s, fd, to, nbytes, offset, false);
}

int64_t page_cache_offset(PyObject *number)
{
    int64_t offset = PyLong_CheckExact(number) ? PyLong_AsLongLong(number) : -1;
    if (offset == -1)
        PyErr_Clear();
    return offset;
}

PyObject *page_cache_readinto(int fd, PyObject *buffer, int64_t offset)
{
    Py_buffer view;
    of_thread.why = OTHERWISE;
    if (fd < 0 || offset < 0)
        return none();
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) != 0) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;   /* of a signal handler */
        PyErr_Clear();
        return none();
    }
    ssize_t got = view.len > 0 ? page_cache_fill(fd, view.buf, view.len, offset) : -1;
    PyBuffer_Release(&view);
    return got < 0 ? none() : PyLong_FromSsize_t(got);
}

/* readinto_now(fd, buffer, offset) -> int | None, which also stands for whatever may be wrong */
static PyObject *readinto_now(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    if (nargs != 3) {
        PyErr_SetString(PyExc_TypeError, "expected fd, buffer, offset");
        return NULL;
    }
    int fd = -1;
    if (PyLong_CheckExact(args[0]) && int_of(args[0], &fd) != 0)
        PyErr_Clear();
    return page_cache_readinto(fd, args[1], page_cache_offset(args[2]));
}

/* fill_now(fd, data, at, nbytes, offset) -> int | None: into bytes that nobody else has seen yet;
 * may be short */
static PyObject *fill_now(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    char *to = nargs == 5 ? PyBytes_AsString(args[1]) : NULL;
    if (to == NULL) {
        PyErr_SetString(PyExc_TypeError, "expected fd, data, at, nbytes, offset");
        return NULL;
    }
    int fd;
    if (int_of(args[0], &fd) != 0)
        return NULL;
    Py_ssize_t at = PyLong_AsSsize_t(args[2]), nbytes = PyLong_AsSsize_t(args[3]);
    int64_t offset = PyLong_AsLongLong(args[4]);
    if (PyErr_Occurred())
        return NULL;
    if (at < 0 || nbytes < 0 || at + nbytes > PyBytes_Size(args[1])) {
        PyErr_SetString(PyExc_ValueError, "not inside the data");
        return NULL;
    }
    struct slice *s = &of_thread;
    if ((s->why = permission(s, fd, nbytes)) != MAY)
        return none();
    Py_ssize_t got = resident(s, fd, to + at, nbytes, offset);
    if (got < 0)
        return none();
    return PyLong_FromSsize_t(got);
}

/* may_now(fd, nbytes) -> bool: whether the slice has room for such a read, which is not made */
static PyObject *may_now(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "expected fd, nbytes");
        return NULL;
    }
    int fd;
    if (int_of(args[0], &fd) != 0)
        return NULL;
    Py_ssize_t nbytes = PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred())
        return NULL;
    struct slice *s = &of_thread;
    s->why = fd < 0 ? OTHERWISE : permission(s, fd, nbytes);
    return PyBool_FromLong(s->why == MAY);
}

static PyObject *declined(PyObject *self, PyObject *unused)
{
    (void)self, (void)unused;
    return PyLong_FromLong(of_thread.why);
}

/* fresh(nbytes) -> bytes whose content is undefined, to be read into */
static PyObject *fresh(PyObject *self, PyObject *nbytes)
{
    (void)self;
    Py_ssize_t n = PyLong_AsSsize_t(nbytes);
    return n == -1 && PyErr_Occurred() ? NULL : PyBytes_FromStringAndSize(NULL, n);
}

PyMethodDef page_cache_methods[] = {
    { "read_now", FASTCALL(read_now), NULL },
    { "readinto_now", FASTCALL(readinto_now), NULL },
    { "fill_now", FASTCALL(fill_now), NULL },
    { "may_now", FASTCALL(may_now), NULL },
    { "declined", declined, METH_NOARGS, NULL },
    { "fresh", fresh, METH_O, NULL },
    { NULL, NULL, 0, NULL },
};

/* --- called by cffi, once a turn or once a slice */

/* 0: one read. */
void slice_open(int64_t nanoseconds)
{
    struct slice *s = &of_thread;
    s->until = now_ns() + nanoseconds;
    s->credit = 1;
    s->spent = 0;
    s->number++;
}

/* 1 when it ran out before, and nobody has rested since. */
int slice_close(void)
{
    int was = of_thread.spent;
    of_thread.until = 0;
    of_thread.spent = 0;
    return was;
}

/* Whether what is resident is read at once.  Returns what held before. */
int now_enable(int on)
{
    return !atomic_exchange(&off, !on);
}
