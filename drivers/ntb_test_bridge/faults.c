// SPDX-License-Identifier: GPL-2.0
/*
 * Calls of the test bridge that fail for a while, as those of real ones do: the
 * firmware of a switch that is busy, a partition that settles.
 *
 * In /sys/kernel/debug/ntb_test_bridge/SIDE, each takes the number of calls that
 * are to fail from now on:
 *
 *   fail_trans   to set a translation, by either end's half (EIO); to clear one works
 *   fail_align   to say the limits of the largest window (EIO)
 *   fail_clear   to clear a translation (EIO)
 *   fail_enable  to enable the link (ENODEV)
 *
 *   slow         not a number of calls: so many milliseconds fail_clear takes each time
 */
#include "bridge.h"

/* Guards all counts. */
static DEFINE_SPINLOCK(lock);

bool faults_hit(u32 *left)
{
	unsigned long flags;
	bool hit;

	spin_lock_irqsave(&lock, flags);
	hit = *left;
	*left -= hit;
	spin_unlock_irqrestore(&lock, flags);
	return hit;
}

void faults_files(struct side *side)
{
	debugfs_create_u32("fail_trans", 0600, side->dir, &side->fail.trans);
	debugfs_create_u32("fail_align", 0600, side->dir, &side->fail.align);
	debugfs_create_u32("fail_clear", 0600, side->dir, &side->fail.clear);
	debugfs_create_u32("fail_enable", 0600, side->dir, &side->fail.enable);
	debugfs_create_u32("slow", 0600, side->dir, &side->fail.slow);
}
