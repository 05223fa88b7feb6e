/* State: `sweeping` and `dozing` say whether the sweeper exists, and whether it sleeps until it is
 * needed.  The attributes are those of the threads that it makes.
 */
#include "sweeper.h"
#include "alarm.h"
#include "baton.h"
#include "host.h"

enum {
    SWEEP_MS = 250,         /* a lost notification comes after two sweeps, in 0.5 s at most */
    IDLE_SWEEPS = 8,        /* then it sleeps until something is owed again */
};

static bool sweeping, dozing;
static pthread_attr_t callback_attr;

static void deliver(struct notice *n)
{
    if (n->plan->queue == NULL)
        host_call(n);
    else if (n->held)
        queue_push(n->plan->queue, &n->queued);
    else
        queue_discard(&n->queued);
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

/* A callback may block, so it gets a thread of its own.  The sweeper runs it when there can be no
 * thread. */
static void deliver_lost(struct notice *n)
{
    pthread_t thread;
    if (n->plan->queue == NULL) {
        if (pthread_create(&thread, &callback_attr, courier, n) == 0)
            return;
        baton_abolish();
    }
    deliver(n);
}

static bool later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec >= b->tv_nsec);
}

/* Under life.  Waits until the next sweep is due (never, when it dozes) or something was
 * discarded. */
static void rest(void)
{
    const struct timespec next = alarm_in_ms(SWEEP_MS);
    struct timespec look, now;
    do {
        bool looking = baton_look();
        look = alarm_in_ms(PATIENCE_MS);
        alarm_wait(looking && (dozing || later(&next, &look)) ? &look : dozing ? NULL : &next);
        now = alarm_in_ms(0);
    } while (!queue_has_discarded() && (dozing || !later(&now, &next)));
}

static void *sweep(void *unused)
{
    (void)unused;
    host_sweeper_starts();
    pthread_mutex_lock(&life);
    for (int idle = 0;;) {
        struct notice *lost;
        uint32_t from = 0;
        while ((lost = notice_find_lost(&from)) != NULL) {
            counters.late++;
            pthread_mutex_unlock(&life);
            deliver_lost(lost);
            pthread_mutex_lock(&life);
        }
        int over = requests_settle();
        idle = notices_owed() || over >= 0 ? 0 : idle + 1;
        dozing = idle >= IDLE_SWEEPS;
        pthread_mutex_unlock(&life);
        struct queued *discarded = queue_discarded();
        if (over > 0 || discarded != NULL)
            host_reap((struct notice *)discarded);
        pthread_mutex_lock(&life);
        rest();
    }
    return NULL;
}

int sweeper_needed(void)
{
    pthread_t thread;
    sigset_t all, old;
    if (sweeping) {
        if (dozing) {
            dozing = false;
            alarm_ring_held();
        }
        return 0;
    }
    pthread_attr_init(&callback_attr);
    pthread_attr_setdetachstate(&callback_attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&callback_attr, callback_stack);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);   /* no signal of the program may land in it */
    int error = pthread_create(&thread, &callback_attr, sweep, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    sweeping = error == 0;
    return error;
}
