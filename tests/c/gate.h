#ifndef TESTS_C_GATE_H
#define TESTS_C_GATE_H
#include <stdint.h>
enum { MOST_NOTICES = 1 << 16 };
long times_called(uint32_t notice);   /* how often this notice was handed to a Python callable */
long orphans_reaped(void);
#endif
