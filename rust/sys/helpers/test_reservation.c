// SPDX-License-Identifier: GPL-2.0
/*
 * For KUnit suites: a disk with reservations, as a driver and the few hosts that
 * share the disk make it. Host 0 is this one. There is one such disk at a time,
 * and nobody asks it while its table is changed by the calls below.
 */
#include <linux/blkdev.h>
#include <linux/pr.h>
#include <linux/string.h>

#define YOKE_TEST_HOSTS	4
#define YOKE_TEST_NOBODY	YOKE_TEST_HOSTS

/* How the driver behaves. */
#define YOKE_TEST_PR_SCSI	0	/* as sd with LIO */
#define YOKE_TEST_PR_NVME	1	/* as nvme with nvmet */
#define YOKE_TEST_PR_MUTE	2	/* as dm without a path: success, and nothing done */

static struct {
	const struct block_device_operations *original;
	struct block_device_operations fops;
	struct pr_ops ops;
	u32 style;
	struct {
		bool there;
		u64 key;
	} hosts[YOKE_TEST_HOSTS];
	u32 holder, type;
	u32 generation;
	/* What the next call answers, and whether it is done all the same. */
	int answer;
	bool done;
	/* How many registrations it says there are; 0: as many as there are. */
	u32 claims;
	bool aborted;
} yoke_test_pr;

/* Whether the call has its answer already. */
static bool yoke_test_pr_odd(int *ret)
{
	*ret = yoke_test_pr.answer;
	yoke_test_pr.answer = 0;
	if (yoke_test_pr.style == YOKE_TEST_PR_MUTE)
		return true;
	return *ret && !yoke_test_pr.done;
}

static bool yoke_test_pr_is_mine(u64 key)
{
	return yoke_test_pr.hosts[0].there && yoke_test_pr.hosts[0].key == key;
}

static void yoke_test_pr_leave(u32 host)
{
	yoke_test_pr.hosts[host].there = false;
	if (yoke_test_pr.holder == host)
		yoke_test_pr.holder = YOKE_TEST_NOBODY;
}

static int yoke_test_pr_register_sd(u64 old, u64 new, bool ignore)
{
	bool there = yoke_test_pr.hosts[0].there;

	if (there ? !ignore && yoke_test_pr.hosts[0].key != old : old)
		return PR_STS_RESERVATION_CONFLICT;
	yoke_test_pr.hosts[0].there = new;
	yoke_test_pr.hosts[0].key = new;
	if (!new)
		yoke_test_pr_leave(0);
	return 0;
}

static int yoke_test_pr_register_nvme(u64 old, u64 new, bool ignore)
{
	bool there = yoke_test_pr.hosts[0].there;

	if (!old && there && yoke_test_pr.hosts[0].key != new)
		return PR_STS_RESERVATION_CONFLICT;
	if (old && !ignore && !yoke_test_pr_is_mine(old))
		return PR_STS_RESERVATION_CONFLICT;
	yoke_test_pr.hosts[0].there = true;
	yoke_test_pr.hosts[0].key = new;
	return 0;
}

static int yoke_test_pr_register(struct block_device *bdev, u64 old, u64 new,
				 u32 flags)
{
	bool ignore = flags & PR_FL_IGNORE_KEY;
	int odd, ret;

	if (yoke_test_pr_odd(&odd))
		return odd;
	yoke_test_pr.generation++;
	ret = yoke_test_pr.style == YOKE_TEST_PR_NVME ?
		      yoke_test_pr_register_nvme(old, new, ignore) :
		      yoke_test_pr_register_sd(old, new, ignore);
	return odd ?: ret;
}

static int yoke_test_pr_reserve(struct block_device *bdev, u64 key,
				enum pr_type type, u32 flags)
{
	int odd;

	if (yoke_test_pr_odd(&odd))
		return odd;
	if (!yoke_test_pr_is_mine(key) ||
	    (yoke_test_pr.holder && yoke_test_pr.holder != YOKE_TEST_NOBODY))
		return PR_STS_RESERVATION_CONFLICT;
	yoke_test_pr.holder = 0;
	yoke_test_pr.type = type;
	return odd;
}

static int yoke_test_pr_release(struct block_device *bdev, u64 key,
				enum pr_type type)
{
	int odd;

	if (yoke_test_pr_odd(&odd))
		return odd;
	if (!yoke_test_pr_is_mine(key))
		return PR_STS_RESERVATION_CONFLICT;
	if (!yoke_test_pr.holder && yoke_test_pr.type != type)
		return -EINVAL;
	if (!yoke_test_pr.holder)
		yoke_test_pr.holder = YOKE_TEST_NOBODY;
	return odd;
}

static int yoke_test_pr_preempt(struct block_device *bdev, u64 old, u64 new,
				enum pr_type type, bool abort)
{
	bool found = false;
	u32 host;
	int odd;

	if (yoke_test_pr_odd(&odd))
		return odd;
	if (!yoke_test_pr_is_mine(old))
		return PR_STS_RESERVATION_CONFLICT;
	for (host = 1; host < YOKE_TEST_HOSTS; host++) {
		if (!yoke_test_pr.hosts[host].there || yoke_test_pr.hosts[host].key != new)
			continue;
		found = true;
		if (yoke_test_pr.holder == host) {
			yoke_test_pr.holder = 0;
			yoke_test_pr.type = type;
		}
		yoke_test_pr_leave(host);
	}
	if (!found)
		return PR_STS_RESERVATION_CONFLICT;
	yoke_test_pr.generation++;
	yoke_test_pr.aborted = abort;
	return odd;
}

static int yoke_test_pr_clear(struct block_device *bdev, u64 key)
{
	return -EOPNOTSUPP;
}

static int yoke_test_pr_read_keys(struct block_device *bdev, struct pr_keys *keys)
{
	u32 host, room = keys->num_keys, total = 0;
	int odd;

	if (yoke_test_pr_odd(&odd))
		return odd;
	for (host = 0; host < YOKE_TEST_HOSTS; host++) {
		if (!yoke_test_pr.hosts[host].there)
			continue;
		if (total < room)
			keys->keys[total] = yoke_test_pr.hosts[host].key;
		total++;
	}
	keys->generation = yoke_test_pr.generation;
	keys->num_keys = yoke_test_pr.claims ?: total;
	return odd;
}

static int yoke_test_pr_read_reservation(struct block_device *bdev,
					 struct pr_held_reservation *held)
{
	int odd;

	if (yoke_test_pr_odd(&odd))
		return odd;
	if (yoke_test_pr.style == YOKE_TEST_PR_NVME)
		held->generation = yoke_test_pr.generation;
	if (yoke_test_pr.holder == YOKE_TEST_NOBODY)
		return odd;
	held->generation = yoke_test_pr.generation;
	held->key = yoke_test_pr.hosts[yoke_test_pr.holder].key;
	held->type = yoke_test_pr.type;
	return odd;
}

static const struct pr_ops yoke_test_pr_all = {
	.pr_register = yoke_test_pr_register,
	.pr_reserve = yoke_test_pr_reserve,
	.pr_release = yoke_test_pr_release,
	.pr_preempt = yoke_test_pr_preempt,
	.pr_clear = yoke_test_pr_clear,
	.pr_read_keys = yoke_test_pr_read_keys,
	.pr_read_reservation = yoke_test_pr_read_reservation,
};

/* Gives the disk reservations, without the operation @lacks (in the order of struct pr_ops, from 1 on; 0: with all). */
void yoke_sys_test_pr_attach(struct gendisk *disk, u32 lacks)
{
	struct pr_ops *ops = &yoke_test_pr.ops;

	memset(&yoke_test_pr, 0, sizeof(yoke_test_pr));
	yoke_test_pr.holder = YOKE_TEST_NOBODY;
	*ops = yoke_test_pr_all;
	switch (lacks) {
	case 1:
		ops->pr_register = NULL;
		break;
	case 2:
		ops->pr_reserve = NULL;
		break;
	case 3:
		ops->pr_release = NULL;
		break;
	case 4:
		ops->pr_preempt = NULL;
		break;
	case 5:
		ops->pr_clear = NULL;
		break;
	case 6:
		ops->pr_read_keys = NULL;
		break;
	case 7:
		ops->pr_read_reservation = NULL;
		break;
	}
	yoke_test_pr.original = disk->fops;
	yoke_test_pr.fops = *disk->fops;
	yoke_test_pr.fops.pr_ops = ops;
	WRITE_ONCE(disk->fops, &yoke_test_pr.fops);
}

/* The disk is as it was made. */
void yoke_sys_test_pr_detach(struct gendisk *disk)
{
	WRITE_ONCE(disk->fops, yoke_test_pr.original);
}

/* YOKE_TEST_PR_*. */
void yoke_sys_test_pr_style(u32 style)
{
	yoke_test_pr.style = style;
}

/* A host is registered with a key, which may be 0; and holds the disk, if @holds is a type. */
void yoke_sys_test_pr_host(u32 host, u64 key, u32 holds)
{
	if (WARN_ON(host >= YOKE_TEST_HOSTS))
		return;
	yoke_test_pr.hosts[host].there = true;
	yoke_test_pr.hosts[host].key = key;
	if (!holds)
		return;
	yoke_test_pr.holder = host;
	yoke_test_pr.type = holds;
}

/* The next call answers @code; if @done, it is done all the same. */
void yoke_sys_test_pr_answers(int code, bool done)
{
	yoke_test_pr.answer = code;
	yoke_test_pr.done = done;
}

/* Says that there are so many registrations. */
void yoke_sys_test_pr_claims(u32 total)
{
	yoke_test_pr.claims = total;
}

/* Whether the last preempt was to abort. */
bool yoke_sys_test_pr_aborted(void)
{
	return yoke_test_pr.aborted;
}

/* The device number of the first partition; 0: there is none. */
u64 yoke_sys_test_partition(struct gendisk *disk)
{
	struct block_device *part;
	u64 dev = 0;

	rcu_read_lock();
	part = xa_load(&disk->part_tbl, 1);
	if (part)
		dev = part->bd_dev;
	rcu_read_unlock();
	return dev;
}
