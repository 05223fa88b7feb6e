/* What gate.c and aiocb.c need of flight.c.  The GIL is held. */
#ifndef AIO_POSIX_FLIGHT_H
#define AIO_POSIX_FLIGHT_H
#include "python.h"
#include "notify.h"

PyObject *named(const char *module_name, const char *name);
void forget(PyObject *table, PyObject *key);

PyObject *flight_serial(uint64_t *serial);
int flight_keep(PyObject *serial, PyObject *kept);
void flight_done(uint64_t serial);
uint32_t flight_promise(PyObject *sig, PyObject *value, PyObject *of, PyObject *kept, int kept_by_value);
void flight_break_promise(uint32_t notice);
PyObject *flight_take(uint32_t notice);
int flight_watched(void);
void flight_tell(const char *event, PyObject *of, const char *format, ...);
#endif
