/* State: `local` holds the mounts that are known to hold files of this machine. */
#include "mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef BCACHEFS_SUPER_MAGIC
#define BCACHEFS_SUPER_MAGIC 0xca451a4e
#endif
#ifndef EROFS_SUPER_MAGIC_V1
#define EROFS_SUPER_MAGIC_V1 0xE0F5E1E2
#endif

enum { MOUNTS = 64 };

/* Each is one word, so that readers need no lock.  It is a key, whose lowest bit says whether only
 * reading is trusted. */
static _Atomic uint64_t local[MOUNTS];

/* 0, or -1 with errno. */
int mount_look(int fd, struct found *found)
{
    struct statx st = { 0 };
    unsigned mask = STATX_TYPE | STATX_SIZE | STATX_MNT_ID_UNIQUE;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, mask, &st) != 0)
        return -1;
    found->mode = st.stx_mode;
    found->size = st.stx_size;
    found->mount = 0;
    if (st.stx_mask & STATX_MNT_ID_UNIQUE)
        found->mount = ((const uint64_t *)&st)[18] << 1;     /* stx_mnt_id: byte 144 */
    else if (st.stx_dev_major != 0)
        found->mount = ((uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor) << 1;
    return 0;
}

enum trust mount_trust(uint64_t mount)
{
    if (mount == 0)
        return UNKNOWN;
    for (int i = 0; i < MOUNTS; i++) {
        uint64_t entry = atomic_load_explicit(&local[i], memory_order_relaxed);
        if (entry == mount)
            return ALL;
        if (entry == (mount | 1))
            return READING;
        if (entry == 0)
            break;
    }
    return UNKNOWN;
}

/* Of an open file, and so of its file system, whose answer may take a while. */
void mount_learn(int fd, uint64_t mount)
{
    static _Atomic unsigned next;
    struct statfs fs;
    if (mount == 0 || mount_trust(mount) != UNKNOWN || fstatfs(fd, &fs) != 0)
        return;
    switch ((uint32_t)fs.f_type) {
    case EXT4_SUPER_MAGIC: case XFS_SUPER_MAGIC: case BTRFS_SUPER_MAGIC: case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC: case RAMFS_MAGIC: case BCACHEFS_SUPER_MAGIC: case SQUASHFS_MAGIC:
    case EROFS_SUPER_MAGIC_V1:
        break;
    case OVERLAYFS_SUPER_MAGIC:
        mount |= 1;
        break;
    default:
        return;
    }
    unsigned i = atomic_fetch_add(&next, 1);
    if (i < MOUNTS)     /* with more mounts than that, the later ones stay unknown */
        atomic_store(&local[i], mount);
}
