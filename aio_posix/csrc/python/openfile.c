/* What Linux says about an open file.  Two descriptors may share it, and to close one may drop a
 * lock.
 *
 * Closing any descriptor of a file drops all fcntl locks that the process has on that file,
 * whoever took them.  On the event loop only local files are asked, because for one of NFS or
 * FUSE the answer comes from a server.
 */
#include "python.h"
#include "openfile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY (1024 + 3)       /* Linux 6.10 */
#endif
#define MNT_ID 0x1000U                  /* STATX_MNT_ID, of Linux 5.8 */
#define LAST INT64_MAX
#define LARGE (16 << 11)                /* 16 MiB in blocks of 512 bytes */

enum { MOUNTS = 64, LOCAL = 1, DISTANT };
static _Atomic uint64_t mounts[MOUNTS]; /* keys, whose lowest bit means LOCAL */

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
        found = sscanf(line, "%*s POSIX %*s %*s %ld %x:%x:%llu", &pid, &major_, &minor_,
                       &inode) == 4
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

/* --- what may be asked on the event loop ------------------------------------------------------ */

/* File systems that answer without a network or another process. */
static const char *const answer_themselves[] = {
    "ext4", "xfs", "btrfs", "overlay", "tmpfs", "devtmpfs", "ext3", "ext2", "zfs", "f2fs",
    "bcachefs", "ramfs", "rootfs", "hugetlbfs", "proc", "sysfs", "vfat", "exfat", "ntfs3",
    "squashfs", "erofs", "iso9660", "udf", "jfs", "nilfs2",
};

/* LOCAL or DISTANT, by its line in mountinfo.  The kernel writes that without asking a server, as
 * fstatfs() would. */
static int ask_kernel(uint64_t mount, const struct statx *st)
{
    char line[4096], type[64];
    unsigned long long id;
    FILE *table = fopen("/proc/self/mountinfo", "re");
    int answer = st->stx_nlink == 0 ? LOCAL : DISTANT;   /* not of this table, as a memfd */
    while (table != NULL && fgets(line, sizeof line, table) != NULL) {
        const char *tail = strstr(line, " - ");
        if (tail == NULL || sscanf(line, "%llu", &id) != 1 || id != mount
            || sscanf(tail, " - %63s", type) != 1)
            continue;
        answer = DISTANT;
        for (size_t i = 0; i < sizeof answer_themselves / sizeof *answer_themselves; i++)
            if (strcmp(type, answer_themselves[i]) == 0)
                answer = LOCAL;
        break;
    }
    if (table != NULL)
        fclose(table);
    return answer;
}

/* 0 or -1, without asking a server. */
static int look(int fd, struct statx *st)
{
    unsigned mask = STATX_TYPE | STATX_NLINK | STATX_BLOCKS | STATX_INO | MNT_ID;
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, mask, st);
}

/* LOCAL or DISTANT.  A mount may be given the number of an earlier one.  Then the worst is that the
 * loop waits once. */
static int mount_of(const struct statx *st)
{
    uint64_t mount = ((const uint64_t *)(const void *)st)[18];   /* stx_mnt_id: byte 144 */
    uint64_t device = (uint64_t)st->stx_dev_major << 20 | st->stx_dev_minor;
    uint64_t key = ((device << 32) ^ mount) << 2 | 2;            /* the lowest bit tells which */
    _Atomic uint64_t *place = &mounts[(key >> 2) % MOUNTS];
    uint64_t entry = atomic_load_explicit(place, memory_order_relaxed);
    if (entry == key || entry == (key | 1))
        return entry == key ? DISTANT : LOCAL;
    int answer = ask_kernel(mount, st);
    atomic_store(place, answer == LOCAL ? key | 1 : key);
    return answer;
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
    if (int_of(args[0], &a) != 0 || int_of(args[1], &b) != 0)
        return NULL;
    return PyLong_FromLong(same(a, b));
}

static PyObject *held(PyObject *arg, int anywhere)
{
    int fd, answer;
    struct statx st;
    if (int_of(arg, &fd) != 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    answer = (anywhere || (look(fd, &st) == 0 && mount_of(&st) == LOCAL)) && locked(fd, 0, LAST);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(answer);
}

/* lock_held(fd) -> bool says whether closing fd would drop a lock of this process.  It may wait for
 * a server. */
static PyObject *lock_held(PyObject *self, PyObject *arg)
{
    (void)self;
    return held(arg, 1);
}

/* lock_held_here(fd) -> bool says the same for a local file, and False for another. */
static PyObject *lock_held_here(PyObject *self, PyObject *arg)
{
    (void)self;
    return held(arg, 0);
}

/* kind_of(fd) -> 0, or STREAM_KIND and DIRECT_KIND, without asking a server */
static PyObject *kind_of(PyObject *self, PyObject *arg)
{
    int fd, flags, rc = 0;
    struct statx st;
    (void)self;
    if (int_of(arg, &fd) != 0)
        return NULL;
    flags = fcntl(fd, F_GETFL);
    if (flags != -1 && look(fd, &st) == 0) {
        unsigned type = st.stx_mode & S_IFMT;
        if (type != S_IFREG && type != S_IFBLK && type != S_IFDIR && type != S_IFLNK)
            rc |= STREAM_KIND;
        if (flags & O_DIRECT)
            rc |= DIRECT_KIND;
    }
    return PyLong_FromLong(rc);
}

/* close_local(fd) -> CLOSED, or LOCKED if it would drop a lock, or MAY_WAIT if to look or to close
 * may take long, so that it is not closed */
static PyObject *close_local(PyObject *self, PyObject *arg)
{
    int fd, rc;
    struct statx st;
    (void)self;
    if (int_of(arg, &fd) != 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    if (look(fd, &st) != 0)
        rc = MAY_WAIT;
    else if ((S_ISREG(st.stx_mode) || S_ISDIR(st.stx_mode)) && mount_of(&st) != LOCAL)
        rc = MAY_WAIT;
    else if (S_ISREG(st.stx_mode) && st.stx_nlink == 0 && st.stx_blocks > LARGE)
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
    { "lock_held_here", lock_held_here, METH_O, NULL },
    { "close_local", close_local, METH_O, NULL },
    { "kind_of", kind_of, METH_O, NULL },
    { NULL, NULL, 0, NULL },
};
