// SPDX-License-Identifier: GPL-2.0
/* Shims for gendisks and block devices. */
#include <linux/blkdev.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/string.h>

/*
 * What is taken over of the device below. Not its limits on segments: writes
 * are copied, and reads are cut where they arrive. Not its chunks: the data
 * does not begin on one. Not atomic writes: nobody promises them here.
 */
static void yoke_sys_fill_below(struct queue_limits *lim,
				const struct yoke_sys_below *b)
{
	lim->physical_block_size = b->physical_block_size;
	lim->alignment_offset = b->alignment_offset;
	lim->io_min = b->io_min;
	lim->io_opt = b->io_opt;
	/* The memory of reads is handed on as it is. */
	lim->dma_alignment = b->dma_alignment;
	if (lim->max_hw_discard_sectors) {
		lim->discard_granularity = b->discard_granularity;
		lim->discard_alignment = b->discard_alignment;
	}
	if (b->flags & YOKE_SYS_W_ROTATIONAL)
		lim->features |= BLK_FEAT_ROTATIONAL;
	if (b->flags & YOKE_SYS_W_MISALIGNED)
		lim->flags |= BLK_FLAG_MISALIGNED;
}

static void yoke_sys_fill_limits(struct queue_limits *lim,
				 const struct yoke_sys_limits *l)
{
	lim->logical_block_size = YOKE_SYS_BLOCK_SIZE;
	lim->physical_block_size = YOKE_SYS_BLOCK_SIZE;
	lim->io_min = YOKE_SYS_BLOCK_SIZE;
	lim->max_hw_sectors = l->max_io_sectors;
	/* Data is copied page by page: no shape of segments is a problem. */
	lim->max_segments = USHRT_MAX;
	lim->max_segment_size = UINT_MAX;
	lim->max_hw_discard_sectors = l->discard_sectors;
	lim->discard_granularity = l->discard_sectors ? YOKE_SYS_BLOCK_SIZE : 0;
	lim->discard_alignment = 0;
	lim->max_write_zeroes_sectors = l->write_zeroes_sectors;
	lim->features = BLK_FEAT_IO_STAT;
	if (l->below)
		yoke_sys_fill_below(lim, l->below);
	if (l->flags & YOKE_SYS_L_WRITE_CACHE)
		lim->features |= BLK_FEAT_WRITE_CACHE;
	if (l->flags & YOKE_SYS_L_FUA)
		lim->features |= BLK_FEAT_FUA;
	if (l->flags & YOKE_SYS_L_STABLE_WRITES)
		lim->features |= BLK_FEAT_STABLE_WRITES;
}

/* May sleep. ERR_PTR on failure. */
struct gendisk *yoke_sys_disk_alloc(const struct yoke_sys_limits *limits)
{
	struct queue_limits lim = { };
	struct gendisk *disk;

	yoke_sys_fill_limits(&lim, limits);
	disk = blk_alloc_disk(&lim, NUMA_NO_NODE);
	if (!IS_ERR(disk) && !(limits->flags & YOKE_SYS_L_PARTITIONS))
		disk->flags |= GENHD_FL_NO_PART;
	return disk;
}

/* May sleep: freezes the queue. */
int yoke_sys_disk_set_limits(struct gendisk *disk,
			     const struct yoke_sys_limits *limits)
{
	struct queue_limits lim = queue_limits_start_update(disk->queue);

	yoke_sys_fill_limits(&lim, limits);
	return queue_limits_commit_update_frozen(disk->queue, &lim);
}

u32 yoke_sys_disk_openers(struct gendisk *disk)
{
	return disk_openers(disk);
}

void *yoke_sys_disk_data(struct gendisk *disk)
{
	return disk->private_data;
}

/* May sleep. */
int yoke_sys_disk_uevent(struct gendisk *disk, char **env)
{
	return kobject_uevent_env(&disk_to_dev(disk)->kobj, KOBJ_CHANGE, env);
}

/* Who calls: 16 bytes of name. */
void yoke_sys_current(char *comm, int *pid)
{
	BUILD_BUG_ON(TASK_COMM_LEN != 16);
	strscpy_pad(comm, current->comm, TASK_COMM_LEN);
	*pid = task_tgid_nr(current);
}

/*
 * As after the surprising removal of a disk. Pages that cannot be written any
 * more stay in the cache, behind a size of 0: their mappings go, and who syncs
 * hears of it. May sleep.
 */
void yoke_sys_disk_kill(struct gendisk *disk)
{
	struct address_space *mapping = disk->part0->bd_mapping;

	filemap_set_wb_err(mapping, -EIO);
	blk_mark_disk_dead(disk);
	unmap_mapping_range(mapping, 0, 0, 1);
}

/* del_gendisk(); and who has pages of it mapped sees them no more. May sleep. */
void yoke_sys_disk_remove(struct gendisk *disk)
{
	del_gendisk(disk);
	unmap_mapping_range(disk->part0->bd_mapping, 0, 0, 1);
}

/* Whether a file system, or whoever else wants to hear of the disk's end, holds it. May sleep. */
bool yoke_sys_disk_is_mounted(struct gendisk *disk)
{
	struct block_device *bdev = disk->part0;
	bool mounted;

	mutex_lock(&bdev->bd_holder_lock);
	mounted = bdev->bd_holder_ops;
	mutex_unlock(&bdev->bd_holder_lock);
	return mounted;
}

/* Openers and closers wait. May sleep. */
void yoke_sys_disk_lock_opens(struct gendisk *disk)
{
	mutex_lock(&disk->open_mutex);
}

void yoke_sys_disk_unlock_opens(struct gendisk *disk)
{
	mutex_unlock(&disk->open_mutex);
}

u64 yoke_sys_disk_dev(struct gendisk *disk)
{
	return disk_devt(disk);
}

void yoke_sys_bdev_props(struct block_device *bdev,
			 struct yoke_sys_bdev_props *props)
{
	struct request_queue *q = bdev_get_queue(bdev);

	props->sectors = bdev_nr_sectors(bdev);
	props->logical_block_size = bdev_logical_block_size(bdev);
	props->max_io_sectors = queue_max_sectors(q);
	props->max_segments = bdev_max_segments(bdev);
	props->discard_sectors = bdev_max_discard_sectors(bdev);
	props->write_zeroes_sectors = bdev_write_zeroes_sectors(bdev);
	props->flags = (bdev_write_cache(bdev) ? YOKE_SYS_B_WRITE_CACHE : 0) |
		       (bdev_fua(bdev) ? YOKE_SYS_B_FUA : 0) |
		       (bdev_read_only(bdev) ? YOKE_SYS_B_READ_ONLY : 0) |
		       (bdev_rot(bdev) ? YOKE_SYS_B_ROTATIONAL : 0) |
		       (bdev_is_zoned(bdev) ? YOKE_SYS_B_ZONED : 0) |
		       (bdev_stable_writes(bdev) ? YOKE_SYS_B_STABLE_WRITES : 0);
}

/* The wishes of a device, as seen from a disk of 4 KiB blocks that begins at its sector @start. */
void yoke_sys_bdev_below(struct block_device *bdev, u64 start,
			 struct yoke_sys_below *below)
{
	struct queue_limits lim;

	blk_set_stacking_limits(&lim);
	lim.logical_block_size = YOKE_SYS_BLOCK_SIZE;
	lim.physical_block_size = YOKE_SYS_BLOCK_SIZE;
	lim.io_min = YOKE_SYS_BLOCK_SIZE;
	lim.discard_granularity = YOKE_SYS_BLOCK_SIZE;
	/* What does not fit is flagged, and used as it is. */
	blk_stack_limits(&lim, bdev_limits(bdev), get_start_sect(bdev) + start);
	below->physical_block_size = lim.physical_block_size;
	below->alignment_offset = lim.alignment_offset;
	below->io_min = lim.io_min;
	below->io_opt = lim.io_opt;
	below->dma_alignment = lim.dma_alignment;
	below->discard_granularity = lim.discard_granularity;
	below->discard_alignment = lim.discard_alignment;
	below->flags = (lim.flags & BLK_FLAG_MISALIGNED ?
			YOKE_SYS_W_MISALIGNED : 0) |
		       (lim.features & BLK_FEAT_ROTATIONAL ?
			YOKE_SYS_W_ROTATIONAL : 0);
}
