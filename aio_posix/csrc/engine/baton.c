/* State: `free_batons` is 1 when nobody has the baton.  `holder` is the callback that runs with it,
 * `waiting` counts the threads that wait for it, and `watched` says whether the sweeper looks.
 * `abolished` is set for good when no thread could be made.
 */
#include "baton.h"
#include "alarm.h"

#include <errno.h>
#include <semaphore.h>

/* The sweeper stops looking after so many looks that found nobody waiting.  Waking it takes some
 * us, so it does not stop at the first. */
enum { CALM = 100 };

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
        alarm_ring();
    while (!atomic_load(&abolished) && sem_wait(&free_batons) != 0 && errno == EINTR)
        ;
    atomic_fetch_sub(&waiting, 1);
}

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

void baton_drop(void)
{
    sem_post(&free_batons);
}

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
    if (atomic_load(&waiting) > 0)   /* a thread came before that, and has woken nobody */
        atomic_store(&watched, true);
    return atomic_load(&watched);
}

void baton_abolish(void)
{
    atomic_store(&abolished, true);
    for (int n = atomic_load(&waiting); n > 0; n--)
        sem_post(&free_batons);
}
