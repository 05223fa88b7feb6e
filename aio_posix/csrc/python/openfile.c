/* What Linux tells of an open file: whether two descriptors share one, and whether a descriptor
 * may be closed.
 *
 * Closing any descriptor of a file drops all fcntl locks that the process has on that file,
 * whoever took them.
 */
#include "python.h"
#include "openfile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY (1024 + 3)       /* Linux 6.10 */
#endif
#define LAST INT64_MAX
#define LARGE (16 << 11)                /* blocks of 512 bytes: to free 16 MiB of a file without a name takes a while */

/* 1, 0, or -1 when this system does not tell. */
static int same(int a, int b)
{
    int answer = fcntl(a, F_DUPFD_QUERY, b);
    if (answer >= 0)
        return answer == 1;
    if (errno == EBADF)
        return 0;
    pid_t me = getpid();
    long order = syscall(SYS_kcmp, me, me, KCMP_FILE, (unsigned long)a, (unsigned long)b);
    if (order >= 0)
        return order == 0;
    return errno == EBADF ? 0 : -1;
}

/* Read locks of two processes may cover the same bytes, and F_OFD_GETLK shows only one of them. */
static int listed(int fd)
{
    struct stat st;
    char line[256];
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL || fstat(fd, &st) != 0) {
        if (locks != NULL)
            fclose(locks);
        return 1;
    }
    int found = 0;
    while (!found && fgets(line, sizeof line, locks) != NULL) {
        long pid;
        unsigned major_, minor_;
        unsigned long long inode;
        found = sscanf(line, "%*s POSIX %*s %*s %ld %x:%x:%llu", &pid, &major_, &minor_, &inode) == 4
                && pid == getpid() && inode == st.st_ino;
    }
    fclose(locks);
    return found;
}

/* Whether the process has a record lock between two offsets. */
static int locked(int fd, int64_t from, int64_t to)
{
    while (from <= to) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from };
        lock.l_len = to == LAST ? 0 : to - from + 1;
        if (fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
            return 0;
        if (lock.l_pid == getpid())
            return 1;
        if (lock.l_type == F_RDLCK)
            return listed(fd);
        if (lock.l_start > from && locked(fd, from, lock.l_start - 1))
            return 1;
        if (lock.l_len == 0)
            return 0;
        from = lock.l_start + lock.l_len;
    }
    return 0;
}

/* File systems that answer without a network or another process. */
static int is_local(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return 0;
    switch ((unsigned long)fs.f_type & 0xffffffff) {
    case 0xef53:       /* ext2, ext3, ext4 */
    case 0x58465342:   /* xfs */
    case 0x9123683e:   /* btrfs */
    case 0x01021994:   /* tmpfs, devtmpfs, memfd */
    case 0x794c7630:   /* overlay */
    case 0x858458f6:   /* ramfs */
    case 0x2fc12fc1:   /* zfs */
    case 0xf2f52010:   /* f2fs */
    case 0xca451a4e:   /* bcachefs */
    case 0x958458f6:   /* hugetlbfs */
    case 0x9fa0:       /* proc */
    case 0x62656572:   /* sysfs */
    case 0x4d44:       /* vfat */
    case 0x2011bab0:   /* exfat */
    case 0x7366746e:   /* ntfs3 */
    case 0x73717368:   /* squashfs */
    case 0xe0f5e1e2:   /* erofs */
    case 0x9660:       /* iso9660 */
    case 0x50495045:   /* pipes */
    case 0x534f434b:   /* sockets */
    case 0x09041934:   /* eventfd, timerfd, ... */
    case 0x1cd1:       /* pseudo-terminals */
        return 1;
    }
    return 0;
}

static int number(PyObject *value, int *fd)
{
    long n = PyLong_AsLong(value);
    if (n == -1 && PyErr_Occurred())
        return -1;
    *fd = (int)n;
    return 0;
}

/* same_file(a, b) -> 1, 0, or -1 when this system does not tell */
static PyObject *same_file(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    int a, b;
    (void)self;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "expected two descriptors");
        return NULL;
    }
    if (number(args[0], &a) != 0 || number(args[1], &b) != 0)
        return NULL;
    return PyLong_FromLong(same(a, b));
}

/* lock_held(fd) -> bool: closing fd would drop a lock of this process */
static PyObject *lock_held(PyObject *self, PyObject *arg)
{
    int fd, held;
    (void)self;
    if (number(arg, &fd) != 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    held = locked(fd, 0, LAST);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(held);
}

/* close_local(fd) -> CLOSED; LOCKED: it would drop a lock; MAY_WAIT: not closed, for to look or
 * to close may take long */
static PyObject *close_local(PyObject *self, PyObject *arg)
{
    int fd, rc;
    struct stat st;
    (void)self;
    if (number(arg, &fd) != 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    if (!is_local(fd) || fstat(fd, &st) != 0 || (S_ISREG(st.st_mode) && st.st_nlink == 0 && st.st_blocks > LARGE))
        rc = MAY_WAIT;
    else if (locked(fd, 0, LAST))
        rc = LOCKED;
    else {
        close(fd);
        rc = CLOSED;
    }
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(rc);
}

PyMethodDef openfile_methods[] = {
    { "same_file", FASTCALL(same_file), NULL },
    { "lock_held", lock_held, METH_O, NULL },
    { "close_local", close_local, METH_O, NULL },
    { NULL, NULL, 0, NULL },
};
