/* Answers csrc/engine/host.h without an interpreter. */
#include "host.h"
#include "engine/host.h"

void (*on_call)(struct notice *n);
static _Atomic long reaped_count;

struct promise promise_of(struct count *c)
{
    atomic_fetch_add(&c->expected, 1);
    return (struct promise){ NULL, c };
}

void came(struct notice *n)
{
    struct count *c = n->promise.value;
    notice_free(n);
    atomic_fetch_add(&c->came, 1);
}

void host_call(struct notice *n)
{
    (on_call ? on_call : came)(n);
}

void host_reap(struct notice *discarded)
{
    while (request_reap() != NULL)
        atomic_fetch_add(&reaped_count, 1);
    for (struct queued *item = (struct queued *)discarded, *next; item != NULL; item = next) {
        next = item->next;
        came((struct notice *)item);
    }
}

void host_sweeper_starts(void) { }
void host_expects_callbacks(void) { }

long reaped(void) { return atomic_load(&reaped_count); }
