/* Wakes the sweeper before its next sweep is due. */
#ifndef AIO_POSIX_ALARM_H
#define AIO_POSIX_ALARM_H
#include "process.h"

#include <time.h>

void alarm_ring(void);                                /* takes life */
void alarm_ring_held(void);                           /* under life */
void alarm_wait(const struct timespec *until);        /* under life; NULL for ever */
struct timespec alarm_in_ms(long ms);

#endif
