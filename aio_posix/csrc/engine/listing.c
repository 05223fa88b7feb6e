#include "listing.h"

#include <stdlib.h>

struct listing *listing_new(size_t room, size_t wanted_size)
{
    size_t each = wanted_size + sizeof(struct request *) + sizeof(uint64_t);
    struct listing *l = calloc(1, sizeof *l + room * each);
    if (l != NULL) {
        atomic_store(&l->owners, 1);
        l->wanted = (struct wanted *)(void *)(l + 1);
        l->requests = (struct request **)(void *)((char *)l->wanted + room * wanted_size);
        l->serials = (uint64_t *)(void *)(l->requests + room);
    }
    return l;
}

void listing_hold(struct listing *l)
{
    atomic_fetch_add(&l->owners, 1);
}

void listing_release(struct listing *l)
{
    if (l == NULL || atomic_fetch_sub(&l->owners, 1) > 1)
        return;
    for (size_t i = 0; i < l->n; i++)
        request_release(l->requests[i]);
    free(l);
}
