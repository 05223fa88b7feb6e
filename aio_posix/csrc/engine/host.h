/* What the engine asks of its surroundings.  csrc/python/gate.c answers with an interpreter, and
 * tests/c/host.c without one.
 */
#ifndef AIO_POSIX_HOST_H
#define AIO_POSIX_HOST_H

struct notice;

/* Runs the callable of a claimed notice, then calls notice_free().  May block. */
void host_call(struct notice *n);

/* Releases all that request_reap() returns, and the values of notices for a queue that is closed (a
 * list linked by queued.next).  Called by the sweeper alone, without a lock. */
void host_reap(struct notice *discarded);

/* The calling thread is the sweeper. */
void host_sweeper_starts(void);

/* A plan with a callable is about to be made. */
void host_expects_callbacks(void);

#endif
