/* State: the table of notices, the free ones and their number, and how many are owed. */
#include "notice.h"

#include <stdlib.h>

enum {
    CHUNK = 1024,    /* notices are allocated so many at a time */
    CHUNKS = 4096,   /* 4 million owed at once */
};

static struct notice *chunks[CHUNKS];
static uint32_t notices;
static struct queued *free_notices;
static size_t free_count, owed;

static struct notice *notice_at(uint32_t index)
{
    return &chunks[index / CHUNK][index % CHUNK];
}

static void put_back(struct notice *n)
{
    n->state = NOTICE_FREE;
    n->queued.next = free_notices;
    free_notices = &n->queued;
    free_count++;
}

/* So many notices can be owed now.  False when there is no memory for that. */
bool notices_reserve(size_t n)
{
    while (free_count < n) {
        struct notice *chunk = notices / CHUNK < CHUNKS ? calloc(CHUNK, sizeof *chunk) : NULL;
        if (chunk == NULL)
            return false;
        chunks[notices / CHUNK] = chunk;
        for (uint32_t i = CHUNK; i-- > 0;) {
            chunk[i].index = notices + i;
            put_back(&chunk[i]);
        }
        notices += CHUNK;
    }
    return true;
}

/* One that was reserved.  The caller says which submission or list it is for. */
struct notice *notice_owe(struct plan *plan, struct promise promise, struct sigevent *sigev,
                          void (*notified)(union sigval))
{
    struct notice *n = (struct notice *)free_notices;
    free_notices = n->queued.next;
    free_count--;
    n->generation++;
    n->state = NOTICE_OWED;
    n->sweeps = 0;
    n->late = false;
    n->parts = 1;
    n->plan = plan;
    plan_hold(plan);
    n->held = plan->queue && queue_hold(plan->queue);
    n->promise = promise;
    n->request = NULL;
    n->listing = NULL;
    sigev->sigev_notify_function = notified;
    sigev->sigev_notify_attributes = &plan->attr;
    sigev->sigev_value.sival_ptr = (void *)((uintptr_t)n->generation << 32 | n->index);
    owed++;
    return n;
}

/* The submission failed, so nothing will be announced.  False if somebody has claimed it
 * already. */
bool notice_forgive(struct notice *n)
{
    if (n->state != NOTICE_OWED)
        return false;
    owed--;
    if (n->held)
        queue_drop(n->plan->queue);
    plan_release(n->plan);   /* the submitter holds it too, so this never waits for glibc */
    if (n->request)
        request_release(n->request);
    listing_release(n->listing);
    put_back(n);
    return true;
}

static bool over(struct notice *n)
{
    bool all = true;
    if (n->request)
        return request_settle(n->request, n->serial);
    for (size_t i = 0; i < n->listing->n; i++)
        all &= request_settle(n->listing->requests[i], n->listing->serials[i]);
    return all;
}

static void claim(struct notice *n)
{
    n->state = NOTICE_CLAIMED;
    owed--;
}

/* Called by a notification thread.  Returns the notice if this thread is to deliver it. */
struct notice *notice_claim(uintptr_t ticket)
{
    struct notice *n = notice_at((uint32_t)ticket);
    pthread_mutex_lock(&life);
    bool mine = n->generation == ticket >> 32 && n->state == NOTICE_OWED
                && (n->parts == 0 || --n->parts == 0)
                && (n->request ? request_notified(n->request, n->serial) : over(n));
    if (mine)
        claim(n);
    pthread_mutex_unlock(&life);
    return mine ? n : NULL;
}

/* Called by the sweeper.  The next notice that two sweeps found over and that nobody has
 * claimed. */
struct notice *notice_find_lost(uint32_t *from)
{
    for (uint32_t i = *from; owed > 0 && i < notices; i++) {
        struct notice *n = notice_at(i);
        if (n->state == NOTICE_OWED && over(n) && ++n->sweeps >= 2) {
            claim(n);
            n->late = true;
            *from = i + 1;
            return n;
        }
    }
    return NULL;
}

/* Its promise has been handed out. */
void notice_free(struct notice *n)
{
    struct plan *plan = n->plan;
    struct request *request = n->request;
    struct listing *listing = n->listing;
    pthread_mutex_lock(&life);
    put_back(n);
    pthread_mutex_unlock(&life);
    plan_release(plan);
    if (request)
        request_release(request);
    listing_release(listing);
}

int notices_owed(void)
{
    return owed > 0;
}

int notices_open(void)
{
    int open = 0;
    pthread_mutex_lock(&life);
    for (uint32_t i = 0; i < notices; i++)
        open += notice_at(i)->state != NOTICE_FREE;
    pthread_mutex_unlock(&life);
    return open;
}

static bool writes(const struct request *r)
{
    return r->op != LIO_READ;
}

int notices_of_writes(void)
{
    bool found = false;
    pthread_mutex_lock(&life);
    for (uint32_t i = 0; i < notices && !found; i++) {
        const struct notice *n = notice_at(i);
        if (n->state == NOTICE_FREE || n->plan->queue)
            continue;
        found = n->request && writes(n->request);
        for (size_t m = 0; n->listing && m < n->listing->n && !found; m++)
            found = writes(n->listing->requests[m]);
    }
    pthread_mutex_unlock(&life);
    return found;
}
