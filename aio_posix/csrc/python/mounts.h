/* Which mounts hold files of this machine, which can be opened and closed without waiting for
 * others.
 *
 * - A mount becomes known when a thread has opened a file of it.  statfs(), which tells the kind of
 *   file system, may itself wait.
 * - The key is the mount's number that is never used again (Linux 6.8), else the number of a real
 *   device.  Numbers of other file systems, whose major is 0, are given to the next mount, so
 *   without the first kind of number they stay unknown.
 * - A file of overlayfs is trusted only for reading, because the first writer copies the whole
 *   file.
 */
#ifndef AIO_POSIX_MOUNTS_H
#define AIO_POSIX_MOUNTS_H
#include <stdint.h>

enum trust { UNKNOWN, READING, ALL };

/* statx's struct as far as it is needed, whatever the C library knows of it. */
struct found { uint32_t mode; uint64_t size, mount; };

int mount_look(int fd, struct found *found);
enum trust mount_trust(uint64_t mount);
void mount_learn(int fd, uint64_t mount);
#endif
