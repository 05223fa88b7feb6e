/* Notices: what glibc owes us, and the tickets by which it is told apart from what it has told already.
 *
 * State: the table of notices, never freed, so that a ticket which comes late or twice is only ever stale; how many
 * are owed.
 *
 * - A SIGEV_THREAD notification carries a ticket (generation, index) instead of a pointer.
 * - Whoever claims a notice delivers it.  A claim is made under `life` and only of a notice that is owed and whose
 *   request, or whole list, is settled: so a late thread, an early one (a list that was submitted in pieces, or whose
 *   entries cancel.c submitted again) and the sweeper can all try, and exactly one of them delivers.
 */
#include "notify.h"

#include <errno.h>
#include <stdlib.h>

enum { CHUNKS = 4096 };   /* of CHUNK notices: 4 million owed at once */

static struct notice *chunks[CHUNKS];
static uint32_t notices;
static size_t owed;

static struct notice *notice_at(uint32_t index)
{
    return &chunks[index / CHUNK][index % CHUNK];
}

/* Makes CHUNK more; returns the first index, or NO_NOTICE. */
uint32_t notices_grow(void)
{
    uint32_t first = NO_NOTICE;
    pthread_mutex_lock(&life);
    if (notices / CHUNK < CHUNKS && (chunks[notices / CHUNK] = calloc(CHUNK, sizeof(struct notice))) != NULL) {
        first = notices;
        notices += CHUNK;
        for (uint32_t i = first; i < notices; i++)
            notice_at(i)->index = i;
    }
    pthread_mutex_unlock(&life);
    return first;
}

static struct notice *owe(uint32_t index, struct plan *plan, struct sigevent *sigev)
{
    struct notice *n = notice_at(index);
    n->generation++;
    n->state = NOTICE_OWED;
    n->sweeps = 0;
    n->parts = 1;
    n->is_list = 0;
    n->queue = plan->queue && queue_hold(plan->queue) ? plan->queue : NULL;   /* NULL: closed just now */
    sigev->sigev_notify_function = notified;
    sigev->sigev_notify_attributes = &plan->attr;
    sigev->sigev_value.sival_ptr = (void *)((uintptr_t)n->generation << 32 | index);
    owed++;
    return n;
}

void notice_owe(uint32_t index, struct request *r, uint64_t serial, struct plan *plan, struct sigevent *sigev)
{
    struct notice *n = owe(index, plan, sigev);
    n->request = r;
    n->serial = serial;
}

struct notice *notice_owe_list(uint32_t index, struct request **list, size_t n, struct plan *plan,
                               struct sigevent *sigev)
{
    uint64_t *serials = malloc((n ? n : 1) * sizeof *serials);
    if (serials == NULL)
        return NULL;
    struct notice *notice = owe(index, plan, sigev);
    notice->is_list = 1;
    notice->members = list;
    notice->serials = serials;
    notice->count = n;
    notice->parts = n ? (unsigned)((n + PIECE - 1) / PIECE) : 1;
    return notice;
}

static void close_notice(struct notice *n, unsigned char state)
{
    n->state = state;
    if (n->is_list)
        free(n->serials);
    owed--;
}

/* The submission failed: nobody will be told. */
void notice_forgive(uint32_t index)
{
    struct notice *n = notice_at(index);
    if (n->state != NOTICE_OWED)
        return;
    close_notice(n, NOTICE_FREE);
    if (n->queue)
        queue_drop(n->queue);
}

static int done(struct notice *n)
{
    int all = 1;
    if (!n->is_list)
        return request_settle(n->request, n->serial);
    for (size_t i = 0; i < n->count; i++)
        all &= request_settle(n->members[i], n->serials[i]);
    return all;
}

/* For a notification thread: the notice if it is now his to deliver, else NULL. */
struct notice *notice_claim(uintptr_t ticket)
{
    struct notice *n = notice_at((uint32_t)ticket);
    pthread_mutex_lock(&life);
    int mine = n->generation == ticket >> 32 && n->state == NOTICE_OWED && (n->parts == 0 || --n->parts == 0)
               && (n->is_list ? done(n) : request_told(n->request, n->serial));
    if (mine)
        close_notice(n, NOTICE_CLAIMED);
    pthread_mutex_unlock(&life);
    return mine ? n : NULL;
}

/* Under life, for the sweeper: the next notice that was found done in two sweeps and still waits for its thread. */
struct notice *notice_find_lost(uint32_t *from)
{
    for (uint32_t i = *from; owed > 0 && i < notices; i++) {
        struct notice *n = notice_at(i);
        if (n->state == NOTICE_OWED && done(n) && ++n->sweeps >= 2) {
            close_notice(n, NOTICE_CLAIMED);
            *from = i + 1;
            return n;
        }
    }
    return NULL;
}

int notices_owed(void)
{
    return owed > 0;
}
