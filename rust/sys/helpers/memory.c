// SPDX-License-Identifier: GPL-2.0
/* Shims for memory that several CPUs, or a peer, touch without a lock. */
#include <linux/crc32.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

/* May sleep. Zeroed; huge pages where they can be had, for the TLB's sake. */
void *yoke_sys_vmalloc(size_t len)
{
	return vmalloc_huge(len, GFP_KERNEL | __GFP_ZERO);
}

/* Not from NMI; may sleep outside of interrupts. */
void yoke_sys_vfree(void *p)
{
	vfree(p);
}

/*
 * Copies whose two ends may be written at the same time by somebody else: done
 * here, so that the compiler of the caller cannot assume anything about them.
 * A race yields mixed bytes, never more.
 */
noinline void yoke_sys_copy(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
}

noinline void yoke_sys_zero(void *dst, size_t len)
{
	memset(dst, 0, len);
}

u32 yoke_sys_crc32c(u32 crc, const void *data, size_t len)
{
	return ~crc32c(~crc, data, len);
}
