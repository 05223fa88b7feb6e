/* What tests/c has in the place of csrc/python: counters of what the engine asked of it. */
#ifndef TESTS_HOST_H
#define TESTS_HOST_H
#include "engine/sweeper.h"

/* A promise of these tests: its notification is to come once for each submission. */
struct count {
    _Atomic long expected, came;
};

struct promise promise_of(struct count *c);
void came(struct notice *n);           /* hands a notice out */
long reaped(void);                     /* of what was kept for unattended requests */
extern void (*on_call)(struct notice *n);   /* instead of came(): a test may hold a callback */

#endif
