// SPDX-License-Identifier: GPL-2.0
/* Shims for persistent reservations, and for who drives a disk. */
#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/gfp.h>
#include <linux/mutex.h>
#include <linux/pr.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include <scsi/scsi_device.h>

/* The values that Rust knows (helpers.h) are the kernel's. */
static_assert(YOKE_SYS_PR_CONFLICT == PR_STS_RESERVATION_CONFLICT);
static_assert(YOKE_SYS_PR_PATH_RETRY == PR_STS_RETRY_PATH_FAILURE);
static_assert(YOKE_SYS_PR_PATH_FAST_FAILED == PR_STS_PATH_FAST_FAILED);
static_assert(YOKE_SYS_PR_PATH_FAILED == PR_STS_PATH_FAILED);
static_assert(YOKE_SYS_PR_WE == PR_WRITE_EXCLUSIVE);
static_assert(YOKE_SYS_PR_EA == PR_EXCLUSIVE_ACCESS);
static_assert(YOKE_SYS_PR_WE_REG_ONLY == PR_WRITE_EXCLUSIVE_REG_ONLY);
static_assert(YOKE_SYS_PR_EA_REG_ONLY == PR_EXCLUSIVE_ACCESS_REG_ONLY);
static_assert(YOKE_SYS_PR_WE_ALL_REGS == PR_WRITE_EXCLUSIVE_ALL_REGS);
static_assert(YOKE_SYS_PR_EA_ALL_REGS == PR_EXCLUSIVE_ACCESS_ALL_REGS);

static const struct pr_ops *yoke_sys_pr_ops(struct block_device *bdev)
{
	return bdev->bd_disk->fops->pr_ops;
}

/*
 * Whether it is a whole disk whose driver has every operation that is called
 * below. Drivers are handed a partition as if it were its disk, and reserve all
 * of that; the ioctls refuse it too (blkdev_pr_allowed()).
 */
bool yoke_sys_pr_usable(struct block_device *bdev)
{
	const struct pr_ops *ops = yoke_sys_pr_ops(bdev);

	return !bdev_is_partition(bdev) && ops && ops->pr_register &&
	       ops->pr_reserve && ops->pr_release && ops->pr_preempt &&
	       ops->pr_read_keys && ops->pr_read_reservation;
}

/*
 * The operations. @bdev is usable (yoke_sys_pr_usable()). All may sleep, for as
 * long as the disk likes. They return 0, a negative errno or a positive enum
 * pr_status, which is no success either.
 */
int yoke_sys_pr_register(struct block_device *bdev, u64 old, u64 new,
			 bool ignore_old)
{
	return yoke_sys_pr_ops(bdev)->pr_register(bdev, old, new,
						  ignore_old ? PR_FL_IGNORE_KEY : 0);
}

int yoke_sys_pr_reserve(struct block_device *bdev, u64 key, u32 type)
{
	return yoke_sys_pr_ops(bdev)->pr_reserve(bdev, key, type, 0);
}

int yoke_sys_pr_release(struct block_device *bdev, u64 key, u32 type)
{
	return yoke_sys_pr_ops(bdev)->pr_release(bdev, key, type);
}

/* The operation calls the caller's own key the old one, and the victim's the new one. */
int yoke_sys_pr_preempt(struct block_device *bdev, u64 own, u64 victim,
			u32 type, bool abort)
{
	return yoke_sys_pr_ops(bdev)->pr_preempt(bdev, own, victim, type, abort);
}

/*
 * @room has @capacity words for keys behind one for what the kernel puts before
 * them. @total, how many there are, may be more than @capacity; so many are in
 * @room at most. What the driver does not fill is zero.
 */
int yoke_sys_pr_read_keys(struct block_device *bdev, u64 *room, u32 capacity,
			  u32 *generation, u32 *total)
{
	struct pr_keys *keys = (struct pr_keys *)room;
	int ret;

	static_assert(offsetof(struct pr_keys, keys) == sizeof(u64));
	memset(room, 0, (capacity + 1) * sizeof(u64));
	keys->num_keys = capacity;
	ret = yoke_sys_pr_ops(bdev)->pr_read_keys(bdev, keys);
	*generation = keys->generation;
	*total = keys->num_keys;
	return ret;
}

/* What the driver does not fill is zero: sd fills nothing in if nobody holds the disk. */
int yoke_sys_pr_read_holder(struct block_device *bdev, u64 *key, u32 *type)
{
	struct pr_held_reservation held = { };
	int ret;

	ret = yoke_sys_pr_ops(bdev)->pr_read_reservation(bdev, &held);
	*key = held.key;
	*type = held.type;
	return ret;
}

static bool yoke_sys_is_dm(struct gendisk *disk)
{
	/* /sys/block/.../dm, by which user space knows them too. */
	struct kernfs_node *dm = sysfs_get_dirent(disk_to_dev(disk)->kobj.sd, "dm");

	sysfs_put(dm);
	return dm;
}

/*
 * What a file of the device in sysfs says, without its end of line and the
 * blanks before that. Empty: there is no such file, or it cannot be read.
 */
static void yoke_sys_device_says(struct device *dev, const char *file,
				 char *text, size_t len)
{
	const struct attribute_group **groups = dev->groups;
	struct device_attribute *found = NULL;
	struct attribute **attr;
	char *page;

	for (; !found && groups && *groups; groups++)
		for (attr = (*groups)->attrs; !found && attr && *attr; attr++)
			if (!strcmp((*attr)->name, file))
				found = container_of(*attr, struct device_attribute, attr);
	if (!found || !found->show)
		return;
	/* A whole page, as sysfs gives it to them. */
	page = (char *)get_zeroed_page(GFP_KERNEL);
	if (!page)
		return;
	if (found->show(dev, found, page) > 0)
		strscpy_pad(text, strim(page), len);
	free_page((unsigned long)page);
}

/*
 * By the names that the disk's parent shows in sysfs: the symbols of drivers
 * that are modules, or not there at all, cannot be named here.
 */
static u32 yoke_sys_disk_target(struct gendisk *disk, char *vendor, char *model,
				char *rev)
{
	struct device *parent = disk_to_dev(disk)->parent;
	struct scsi_device *sdev;

	BUILD_BUG_ON(sizeof(sdev->vendor) != YOKE_SYS_VENDOR_LEN);
	BUILD_BUG_ON(sizeof(sdev->model) > YOKE_SYS_MODEL_LEN);
	BUILD_BUG_ON(sizeof(sdev->rev) != YOKE_SYS_REV_LEN);
	if (!parent)
		return yoke_sys_is_dm(disk) ? YOKE_SYS_T_DM : YOKE_SYS_T_OTHER;
	if (parent->class && !strcmp(parent->class->name, "nvme")) {
		yoke_sys_device_says(parent, "model", model, YOKE_SYS_MODEL_LEN);
		return YOKE_SYS_T_NVME;
	}
	/* The disk over all paths hangs below the subsystem, not below a controller. */
	if (parent->class && !strcmp(parent->class->name, "nvme-subsystem")) {
		yoke_sys_device_says(parent, "model", model, YOKE_SYS_MODEL_LEN);
		return YOKE_SYS_T_NVME_MULTIPATH;
	}
	/* Hosts and targets are on that bus too. */
	if (parent->bus && !strcmp(parent->bus->name, "scsi") &&
	    parent->type && !strcmp(parent->type->name, "scsi_device")) {
		sdev = to_scsi_device(parent);
		strscpy_pad(vendor, sdev->vendor, sizeof(sdev->vendor));
		strscpy_pad(model, sdev->model, sizeof(sdev->model));
		strscpy_pad(rev, sdev->rev, sizeof(sdev->rev));
		return YOKE_SYS_T_SCSI;
	}
	return YOKE_SYS_T_OTHER;
}

/*
 * Whose disk it is: YOKE_SYS_T_*. Of an NVMe or SCSI disk also what it said of
 * itself, printable as the kernel has made it. May sleep.
 */
u32 yoke_sys_bdev_target(struct block_device *bdev, char *vendor, char *model,
			 char *rev)
{
	struct gendisk *disk = bdev->bd_disk;
	u32 target = YOKE_SYS_T_OTHER;

	/* del_gendisk() takes it first: a live disk keeps its parent, and its place in sysfs. */
	mutex_lock(&disk->open_mutex);
	if (disk_live(disk))
		target = yoke_sys_disk_target(disk, vendor, model, rev);
	mutex_unlock(&disk->open_mutex);
	return target;
}
