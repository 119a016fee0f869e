// SPDX-License-Identifier: GPL-2.0
/* Shims for struct bio. */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

u32 yoke_sys_bio_op(const struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return YOKE_SYS_OP_READ;
	case REQ_OP_WRITE:
		/* What blkdev_issue_flush() sends to a bio-based disk. */
		if (!bio->bi_iter.bi_size && (bio->bi_opf & REQ_PREFLUSH))
			return YOKE_SYS_OP_FLUSH;
		return YOKE_SYS_OP_WRITE;
	case REQ_OP_DISCARD:
		return YOKE_SYS_OP_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return YOKE_SYS_OP_WRITE_ZEROES;
	default:
		return YOKE_SYS_OP_OTHER;
	}
}

static blk_opf_t yoke_sys_opf(u32 flags)
{
	return (flags & YOKE_SYS_F_PREFLUSH ? REQ_PREFLUSH : 0) |
	       (flags & YOKE_SYS_F_FUA ? REQ_FUA : 0) |
	       (flags & YOKE_SYS_F_SYNC ? REQ_SYNC : 0) |
	       (flags & YOKE_SYS_F_META ? REQ_META : 0) |
	       (flags & YOKE_SYS_F_RAHEAD ? REQ_RAHEAD : 0) |
	       (flags & YOKE_SYS_F_NOWAIT ? REQ_NOWAIT : 0) |
	       (flags & YOKE_SYS_F_NOUNMAP ? REQ_NOUNMAP : 0);
}

u32 yoke_sys_bio_flags(const struct bio *bio)
{
	blk_opf_t opf = bio->bi_opf;

	return (opf & REQ_PREFLUSH ? YOKE_SYS_F_PREFLUSH : 0) |
	       (opf & REQ_FUA ? YOKE_SYS_F_FUA : 0) |
	       (opf & REQ_SYNC ? YOKE_SYS_F_SYNC : 0) |
	       (opf & REQ_META ? YOKE_SYS_F_META : 0) |
	       (opf & REQ_RAHEAD ? YOKE_SYS_F_RAHEAD : 0) |
	       (opf & REQ_NOWAIT ? YOKE_SYS_F_NOWAIT : 0) |
	       (opf & REQ_NOUNMAP ? YOKE_SYS_F_NOUNMAP : 0);
}

void yoke_sys_bio_set_flags(struct bio *bio, u32 set, u32 clear)
{
	bio->bi_opf = (bio->bi_opf & ~yoke_sys_opf(clear)) | yoke_sys_opf(set);
}

/*
 * Take a bio in from ->submit_bio: cut it to the disk's limits (the rest is
 * submitted again by the block layer) and start its accounting. NULL: it was
 * ended already. bi_cookie belongs to polled bios, which a disk without
 * BLK_FEAT_POLL never sees, so it can keep the start time.
 */
struct bio *yoke_sys_bio_begin(struct bio *bio)
{
	bio = bio_split_to_limits(bio);
	if (!bio)
		return NULL;
	bio->bi_cookie = (u32)bdev_start_io_acct(bio->bi_bdev, bio_op(bio),
						 jiffies);
	return bio;
}

/*
 * How long ago it was taken in, to the jiffy. Wraps with 32 bits of jiffies,
 * which is longer than any I/O is kept.
 */
u64 yoke_sys_bio_age_ns(const struct bio *bio)
{
	return jiffies64_to_nsecs((u32)((u32)jiffies - bio->bi_cookie));
}

/* End what yoke_sys_bio_begin() took in. The bio is gone on return. */
void yoke_sys_bio_end(struct bio *bio, u8 status)
{
	unsigned long now = jiffies;
	unsigned long start = now - (u32)((u32)now - bio->bi_cookie);

	bdev_end_io_acct(bio->bi_bdev, bio_op(bio), bio_sectors(bio), start);
	bio->bi_cookie = BLK_QC_T_NONE;
	bio_endio_status(bio, (__force blk_status_t)status);
}

/*
 * Copy at most @len bytes between @buf and the bio, from @iter on, a page at a
 * time; moves @iter. Returns the bytes passed: less than @len only at the end.
 * A NULL @buf only moves @iter.
 */
u32 yoke_sys_bio_copy(struct bio *bio, struct bvec_iter *iter, void *buf,
		      u32 len, bool to_bio)
{
	u32 done = 0;

	if (!bio_has_data(bio))
		return 0;
	while (done < len && iter->bi_size) {
		struct bio_vec bv = bio_iter_iovec(bio, *iter);
		u32 n = min(len - done, bv.bv_len);

		if (!buf)
			;
		else if (to_bio)
			memcpy_to_page(bv.bv_page, bv.bv_offset, buf + done, n);
		else
			memcpy_from_page(buf + done, bv.bv_page, bv.bv_offset,
					 n);
		bio_advance_iter_single(bio, iter, n);
		done += n;
	}
	return done;
}

/* As yoke_sys_bio_copy(), but zeroes the bio's memory. */
u32 yoke_sys_bio_zero(struct bio *bio, struct bvec_iter *iter, u32 len)
{
	u32 done = 0;

	if (!bio_has_data(bio))
		return 0;
	while (done < len && iter->bi_size) {
		struct bio_vec bv = bio_iter_iovec(bio, *iter);
		u32 n = min(len - done, bv.bv_len);

		memzero_page(bv.bv_page, bv.bv_offset, n);
		bio_advance_iter_single(bio, iter, n);
		done += n;
	}
	return done;
}

void *yoke_sys_bio_disk_data(const struct bio *bio)
{
	return bio->bi_bdev->bd_disk->private_data;
}

/* Whether its memory is a page of the disk's own page cache. */
bool yoke_sys_bio_is_cached(const struct bio *bio)
{
	struct block_device *bdev = bio->bi_bdev->bd_disk->part0;

	/* A flush has no memory. A read may have been passed on, and come to its end. */
	if (bio_op(bio) != REQ_OP_READ &&
	    (bio_op(bio) != REQ_OP_WRITE || !bio->bi_iter.bi_size))
		return false;
	return page_folio(bio->bi_io_vec->bv_page)->mapping == bdev->bd_mapping;
}

/* Make an own, empty bio in preallocated memory. */
void yoke_sys_bio_prepare(struct bio *bio, struct block_device *bdev,
			  void *vecs, u32 max_vecs)
{
	bio_init(bio, bdev, vecs, max_vecs, REQ_OP_READ);
}

/* Say what it does, and where. @op is READ, WRITE or FLUSH. */
void yoke_sys_bio_aim(struct bio *bio, u32 op, u32 flags, u64 sector)
{
	if (op == YOKE_SYS_OP_FLUSH)
		flags |= YOKE_SYS_F_PREFLUSH;
	if (op == YOKE_SYS_OP_READ)
		flags &= ~(YOKE_SYS_F_PREFLUSH | YOKE_SYS_F_FUA);
	bio->bi_opf = (op == YOKE_SYS_OP_READ ? REQ_OP_READ : REQ_OP_WRITE) |
		      yoke_sys_opf(flags);
	bio->bi_iter.bi_sector = sector;
}

/* As yoke_sys_bio_aim(), for a bio without data: DISCARD or WRITE_ZEROES. */
void yoke_sys_bio_aim_range(struct bio *bio, u32 op, u32 flags, u64 sector,
			    u32 bytes)
{
	bool discard = op == YOKE_SYS_OP_DISCARD;

	flags &= YOKE_SYS_F_SYNC | YOKE_SYS_F_META | YOKE_SYS_F_NOUNMAP;
	if (discard)
		flags &= ~YOKE_SYS_F_NOUNMAP;
	bio->bi_opf = (discard ? REQ_OP_DISCARD : REQ_OP_WRITE_ZEROES) |
		      yoke_sys_opf(flags);
	bio->bi_iter.bi_sector = sector;
	bio->bi_iter.bi_size = bytes;
}

/* Append one 4 KiB block of vmalloc memory, aligned to its size. Pages may be larger. */
bool yoke_sys_bio_add_block(struct bio *bio, void *block)
{
	return bio_add_page(bio, vmalloc_to_page(block), YOKE_SYS_BLOCK_SIZE,
			    offset_in_page(block)) == YOKE_SYS_BLOCK_SIZE;
}

/* NULL: as many as the set keeps are under way, and memory is short. */
struct bio *yoke_sys_bio_clone(struct block_device *bdev, struct bio *src,
			       void *bioset)
{
	return bio_alloc_clone(bdev, src, GFP_NOWAIT | __GFP_NOWARN, bioset);
}

/* Have a read fail rather than wait in the block layer, if its device can. */
bool yoke_sys_bio_set_nowait(struct bio *bio)
{
	if (bio_op(bio) != REQ_OP_READ || !bdev_nowait(bio->bi_bdev))
		return false;
	bio->bi_opf |= REQ_NOWAIT;
	return true;
}

/* Whether a bio has ended because it was not to wait. */
bool yoke_sys_bio_would_block(const struct bio *bio)
{
	return (bio->bi_opf & REQ_NOWAIT) && bio->bi_status == BLK_STS_AGAIN;
}

/* Whether the caller runs inside a ->submit_bio of its own task. */
bool yoke_sys_in_submit(void)
{
	return current->bio_list;
}
