/* All that runs in threads which Python did not start: glibc's notification threads and our sweeper.
 *
 * State: the sweeper (`sweeping`, `dozing`); the attributes of the threads that it makes.
 *
 * - Every SIGEV_THREAD notification enters by notified(), claims its notice and delivers it: to a queue, or through
 *   the gate to a Python callable.  Nothing else is waited for but `life` and the gate.
 * - If that thread was never made (glibc does not notice when pthread_create fails) the sweeper delivers instead.
 *   Two sweeps must find the notice done and unclaimed, but that is only courtesy: the claim decides.
 */
#include "notify.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum {
    SWEEP_MS = 250,         /* a lost notification comes after two sweeps: at most 0.5 s */
    IDLE_SWEEPS = 8,        /* then it sleeps until something is owed again */
    ORPHANS_AT_ONCE = 256,
};

static int sweeping, dozing;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static pthread_attr_t callback_attr;

static void deliver(struct notice *n)
{
    if (n->queue)
        queue_push(n);
    else
        gate_call(n);
}

void notified(union sigval value)
{
    struct notice *n = notice_claim((uintptr_t)value.sival_ptr);
    if (n != NULL)
        deliver(n);
}

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

static void *sweep(void *unused)
{
    uint64_t serials[ORPHANS_AT_ONCE];
    struct timespec pause = { 0, SWEEP_MS * 1000000L };
    (void)unused;
    pthread_mutex_lock(&life);
    for (int idle = 0;;) {
        struct notice *lost;
        uint32_t from = 0;
        while ((lost = notice_find_lost(&from)) != NULL) {
            pthread_mutex_unlock(&life);
            deliver_lost(lost);
            pthread_mutex_lock(&life);
        }
        int reaped = orphans_reap(serials, ORPHANS_AT_ONCE);
        idle = notices_owed() || reaped >= 0 ? 0 : idle + 1;
        dozing = idle >= IDLE_SWEEPS;
        if (dozing)
            while (dozing)
                pthread_cond_wait(&wanted, &life);
        pthread_mutex_unlock(&life);
        gate_reap(serials, reaped);
        if (reaped < ORPHANS_AT_ONCE)
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
    pthread_attr_init(&callback_attr);
    pthread_attr_setdetachstate(&callback_attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&callback_attr, callback_stack);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);   /* no signal of the program may land in it */
    error = pthread_create(&thread, &callback_attr, sweep, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    sweeping = error == 0;
    return error;
}
