/* One callback at a time: or each call that gives up the GIL for a moment would have to fight the next callback for it.
 *
 * State: `free_batons`, 1 when nobody has the baton; `holder`, the callback that runs with it; `waiting`, the threads
 * that wait for it; `watched`, whether the sweeper looks at all this; `abolished`.
 *
 * - A callback may block (the echo server's does, in accept).  So, while anybody waits, the sweeper looks every
 *   PATIENCE_MS, and passes the baton on if the callback that had it at the last look still has it.
 * - It does not before that callback's thread has the GIL.  Threads that wait for the GIL wake each other every 5 ms,
 *   so that n of them cost n^2: only one may wait at a time.
 * - When the sweeper has to run a callback itself, for want of threads, nobody looks any more: then there is no baton.
 */
#include "notify.h"

#include <errno.h>
#include <semaphore.h>

enum { CALM = 100 };   /* looks in a row that find nobody waiting, before they end: waking the sweeper takes some us */

static sem_t free_batons;
static _Atomic uint64_t holder, last;
static atomic_int waiting;
static atomic_bool watched, abolished;

void baton_make(void)
{
    sem_init(&free_batons, 0, 1);
}

void baton_take(void)
{
    if (atomic_load(&abolished) || sem_trywait(&free_batons) == 0)
        return;
    atomic_fetch_add(&waiting, 1);
    if (!atomic_exchange(&watched, true))
        sweeper_look();
    while (!atomic_load(&abolished) && sem_wait(&free_batons) != 0 && errno == EINTR)
        ;
    atomic_fetch_sub(&waiting, 1);
}

/* The thread that took it has the GIL now. */
uint64_t baton_carry(void)
{
    uint64_t mine = atomic_fetch_add(&last, 1) + 1;
    atomic_store(&holder, mine);
    return mine;
}

void baton_pass(uint64_t mine)
{
    if (atomic_compare_exchange_strong(&holder, &mine, 0))
        sem_post(&free_batons);
}

/* By a thread that did not carry it. */
void baton_drop(void)
{
    sem_post(&free_batons);
}

/* One look; 0 when there will be nothing to see. */
int baton_look(void)
{
    static uint64_t seen;
    static int calm;
    uint64_t now = atomic_load(&holder);
    if (now != 0 && now == seen)
        baton_pass(now);
    seen = now;
    calm = atomic_load(&waiting) > 0 ? 0 : calm + 1;
    if (calm < CALM)
        return 1;
    atomic_store(&watched, false);
    if (atomic_load(&waiting) > 0)   /* it came before that, and has woken nobody */
        atomic_store(&watched, true);
    return atomic_load(&watched);
}

void baton_abolish(void)
{
    atomic_store(&abolished, true);
    for (int n = atomic_load(&waiting); n > 0; n--)
        sem_post(&free_batons);
}
