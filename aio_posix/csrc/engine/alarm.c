/* State: the condition that the sweeper waits for, and `rung`.  The first wait or ring makes it. */
#include "alarm.h"

#include <errno.h>

static pthread_cond_t bell;
static bool made, rung;

static void make(void)
{
    if (made)
        return;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&bell, &monotonic);
    pthread_condattr_destroy(&monotonic);
    made = true;
}

void alarm_ring_held(void)
{
    make();
    rung = true;
    pthread_cond_signal(&bell);
}

void alarm_ring(void)
{
    pthread_mutex_lock(&life);
    alarm_ring_held();
    pthread_mutex_unlock(&life);
}

void alarm_wait(const struct timespec *until)
{
    int error = 0;
    make();
    while (!rung && error != ETIMEDOUT)
        error = until ? pthread_cond_timedwait(&bell, &life, until)
                      : pthread_cond_wait(&bell, &life);
    rung = false;
}

struct timespec alarm_in_ms(long ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}
