/* All that runs in threads which Python did not start: glibc's notification threads and our sweeper.
 *
 * State: the sweeper (`sweeping`, `dozing`, `wanted`); the attributes of the threads that it makes.
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
static pthread_cond_t wanted;
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
    if (n->queue == NULL && pthread_create(&thread, &callback_attr, courier, n) == 0)
        return;
    if (n->queue == NULL)
        baton_abolish();
    deliver(n);
}

static struct timespec in_ms(long ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

/* Under life: until the next sweep; for as long as it likes when nothing is owed. */
static void rest(void)
{
    const struct timespec next = in_ms(SWEEP_MS);
    int timed_out = 0;
    while (dozing || !timed_out) {
        int looking = baton_look();
        struct timespec look = in_ms(PATIENCE_MS);
        if (looking) {
            pthread_cond_timedwait(&wanted, &life, &look);
            timed_out = look.tv_sec > next.tv_sec || (look.tv_sec == next.tv_sec && look.tv_nsec >= next.tv_nsec);
        } else if (dozing) {
            pthread_cond_wait(&wanted, &life);
        } else {
            timed_out = pthread_cond_timedwait(&wanted, &life, &next) == ETIMEDOUT;
        }
    }
}

static void *sweep(void *unused)
{
    uint64_t serials[ORPHANS_AT_ONCE];
    (void)unused;
    gate_no_baton();
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
        pthread_mutex_unlock(&life);
        gate_reap(serials, reaped);
        pthread_mutex_lock(&life);
        if (reaped < ORPHANS_AT_ONCE)
            rest();
    }
    return NULL;
}

int sweeper_runs(void)
{
    return sweeping;
}

/* A thread waits for the baton. */
void sweeper_look(void)
{
    pthread_mutex_lock(&life);
    pthread_cond_signal(&wanted);
    pthread_mutex_unlock(&life);
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
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&wanted, &monotonic);
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
