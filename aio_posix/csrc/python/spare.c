/* Bytes to read into, which may have been read into before.
 *
 * malloc() and free() of 4 KiB take longer than all other C of a read from the page cache.  So the
 * last two objects are kept, and one is given out again if its reader has dropped it, as zip() does
 * with its tuple.  There are two because a task holds what it has read while it reads on.
 *
 * State, under the GIL: `kept` owns up to two objects, of LEAST to MOST bytes each.  `turn` is the
 * one that was given out last.
 *
 * - An object is written to only if it has no other owner.  Then nobody can come by it, because
 *   bytes have no weak references and the collector does not list them.
 * - Bytes remember their hash, which has to be forgotten.  The stable ABI does not say where it is.
 *   spare_start() finds out whether it is in front of the content, and else nothing is kept.
 * - Without a GIL nothing is kept.
 */
#include "spare.h"

#include <stdbool.h>
#include <string.h>

enum { LEAST = 512, MOST = 64 << 10 };   /* smaller objects come from Python's own allocator */

#ifdef Py_GIL_DISABLED
PyObject *spare_bytes(Py_ssize_t nbytes)
{
    return PyBytes_FromStringAndSize(NULL, nbytes);
}

int spare_start(void)
{
    return 0;
}
#else
static const Py_hash_t UNKNOWN = -1;
static bool found;   /* where the hash is */
static PyObject *kept[2];
static unsigned turn;

static void *hash_of(PyObject *data)
{
    return PyBytes_AsString(data) - sizeof(Py_hash_t);
}

PyObject *spare_bytes(Py_ssize_t nbytes)
{
    if (!found || nbytes < LEAST || nbytes > MOST)
        return PyBytes_FromStringAndSize(NULL, nbytes);
    PyObject **place = &kept[turn ^= 1], *data = *place;
    if (data != NULL && Py_REFCNT(data) == 1 && PyBytes_Size(data) == nbytes) {
        memcpy(hash_of(data), &UNKNOWN, sizeof UNKNOWN);
    } else {
        Py_XDECREF(data);
        *place = data = PyBytes_FromStringAndSize(NULL, nbytes);
        if (data == NULL)
            return NULL;
    }
    Py_INCREF(data);
    return data;
}

int spare_start(void)
{
    PyObject *data = PyBytes_FromStringAndSize("any content", 11);
    if (data == NULL)
        return -1;
    bool unknown = memcmp(hash_of(data), &UNKNOWN, sizeof UNKNOWN) == 0;
    Py_hash_t hash = PyObject_Hash(data);
    found = unknown && memcmp(hash_of(data), &hash, sizeof hash) == 0;
    Py_DECREF(data);
    return hash == -1 ? -1 : 0;
}
#endif
