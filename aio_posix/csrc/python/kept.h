/* What a submission needs until glibc is done with it, and who keeps that alive.
 *
 * - A struct kept is filled before anybody else can see the submission.  From flight on it hangs
 *   on the request (request.kept), and whoever notices the end takes it from there and releases
 *   it.  So each is released once, and "kept but not in flight yet" is visible to nobody.
 * - The buffer is exported (not resized, not freed), the file object and the C request are owned.
 * - A socket object counts its users, as makefile() shows, and each request in flight is one of
 *   them.  close() takes effect when the last of these requests is over and that was noticed.
 * - Any other file object is asked for its descriptor once more in the end.  If that has changed,
 *   glibc may have used another file, and a ResourceWarning says so.
 * - The GIL is held.  Releasing runs Python code, so it never happens under a lock, nor in a
 *   notification thread before the gate.
 */
#ifndef AIO_POSIX_KEPT_H
#define AIO_POSIX_KEPT_H
#include "python.h"
#include "../engine/submit.h"

struct kept {
    Py_buffer buffer;          /* buffer.obj is NULL if there is none */
    PyObject *file;            /* NULL if an int was given */
    PyObject *also;            /* what a signal's number stands for, or a batch's keeper */
    PyObject *of_list;         /* the same for the signal of its list */
    uint64_t number;           /* not 0 for a signal of its own */
    struct request *request;   /* held, or NULL where somebody else sees to its memory */
    struct plan *plan;         /* held, or NULL */
    struct plan *plan_of_list; /* the same */
    struct kept_block *block;
    int fd;
    bool is_socket;
    bool flew;                 /* the file is to be looked at again */
};

struct kept_block *kept_block_new(size_t n);   /* NULL with MemoryError */
struct kept *kept_at(struct kept_block *block, size_t i);
int kept_file(struct kept *k, PyObject *file, int fd);   /* -1 with an exception */
void kept_release(void *kept);                 /* leaves an exception as it was */
void kept_orphaned(void *kept);                /* the same where the program did not look */
void keep_for_signal(PyObject *what);
void kept_refuse(void *kept);                  /* the same for a submission that did not happen */
void kept_notice_end(struct request *r);       /* releases it if the submission is over */
void kept_abandon(struct request *r);          /* nobody will look at it any more */
long kept_count(void);
void kept_silently(void);
int kept_start(void);

#endif
