/* Stands in for csrc/gate.c, so that the C that runs in glibc's threads can be run without an interpreter. */
#include "gate.h"
#include "notify.h"

static _Atomic long called[MOST_NOTICES];
static _Atomic long reaped;

void gate_call(struct notice *n) { atomic_fetch_add(&called[n->index], 1); }

void gate_reap(const uint64_t *serials, int n)
{
    (void)serials;
    if (n > 0)
        atomic_fetch_add(&reaped, n);
}

void gate_expect_callbacks(void) { }
void gate_no_baton(void) { }

long times_called(uint32_t notice) { return atomic_load(&called[notice]); }
long orphans_reaped(void) { return atomic_load(&reaped); }
