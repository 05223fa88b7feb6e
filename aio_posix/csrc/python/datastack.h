#ifndef AIO_POSIX_DATASTACK_H
#define AIO_POSIX_DATASTACK_H

void datastack_keep(void);   /* once, with the GIL held */

#endif
