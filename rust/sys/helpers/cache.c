// SPDX-License-Identifier: GPL-2.0
/*
 * Shims for what the kernel has cached of a disk.
 *
 * truncate_inode_pages() is not for a disk that is in use: it ends when it finds
 * no page any more, so not while somebody writes, and it waits for each page's
 * I/O. That it be serialised by i_rwsem, as is documented, is no way out: a
 * buffered writer holds that for as long as a read of his is under way, and
 * readers would wait for us. So each page is looked at once, without waiting for
 * it; what could not go is looked at again later.
 */
#include <linux/blkdev.h>
#include <linux/buffer_head.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/folio_batch.h>

/* For how long openers and closers are held up at once. */
#define YOKE_SYS_DROP_MS	50

/*
 * Whether there is nothing in a folio that somebody could be shown, or that could
 * stay when the rest of it is read: a folio of several blocks is read block by
 * block, and those that are there are left out.
 */
static bool yoke_sys_folio_is_empty(struct address_space *mapping,
				    struct folio *folio)
{
	struct buffer_head *head, *bh;
	bool empty = !folio_test_uptodate(folio);

	/* Buffers are not taken off a folio meanwhile. */
	spin_lock(&mapping->i_private_lock);
	head = folio_buffers(folio);
	bh = head;
	while (bh && empty) {
		empty = !buffer_uptodate(bh);
		bh = bh->b_this_page;
		if (bh == head)
			break;
	}
	spin_unlock(&mapping->i_private_lock);
	return empty;
}

/*
 * What is in a folio was not written yet, and never will be: who syncs hears of
 * it. The folio is locked, and is not being written. Copies that processes have
 * made of it for themselves are theirs.
 */
static void yoke_sys_folio_discard(struct address_space *mapping,
				   struct folio *folio)
{
	filemap_set_wb_err(mapping, -EIO);
	unmap_mapping_range(mapping, folio_pos(folio), folio_size(folio), 0);
	folio_invalidate(folio, 0, folio_size(folio));
	folio_cancel_dirty(folio);
}

/*
 * Drops a folio of which the caller has a reference, a dirty one only if @all.
 * False: it cannot be dropped now.
 */
static bool yoke_sys_folio_drop(struct address_space *mapping,
				struct folio *folio, bool all)
{
	bool there, dirty, busy;

	/* Who reads it may hold it for long. */
	if (yoke_sys_folio_is_empty(mapping, folio))
		return true;
	if (!folio_trylock(folio))
		return false;
	there = folio->mapping == mapping;
	busy = folio_test_writeback(folio);
	dirty = folio_test_dirty(folio);
	if (there && !busy && dirty && all) {
		yoke_sys_folio_discard(mapping, folio);
		dirty = false;
	}
	folio_unlock(folio);
	if (!there)
		return true;
	if (busy)
		return false;
	/* It will be written, and its end tells what became of it. */
	if (dirty)
		return true;
	/*
	 * It drops what is clean, whoever has it mapped. It waits for the folio,
	 * but only if I/O of that has begun since the look at it.
	 */
	return !invalidate_inode_pages2_range(mapping, folio->index,
					      folio_next_index(folio) - 1);
}

/*
 * Looks at each folio that is there, once. With @at, dirty ones go too from there
 * on up to the first that cannot be dropped, where the next look goes on; so what
 * is written after a folio has gone is left alone. That ends early when it has
 * held up openers for long enough. Whether all that was to go is gone.
 */
static bool yoke_sys_mapping_drop(struct address_space *mapping, pgoff_t *at)
{
	unsigned long until = jiffies + msecs_to_jiffies(YOKE_SYS_DROP_MS);
	pgoff_t next = at ? *at : 0;
	struct folio_batch batch;
	bool done = true;

	folio_batch_init(&batch);
	/* Buffers that are remembered for a fast look-up hold their folios. */
	invalidate_bh_lrus();
	while (filemap_get_folios(mapping, &next, -1, &batch)) {
		for (unsigned int i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];
			bool all = at && done;

			if (yoke_sys_folio_drop(mapping, folio, all))
				continue;
			if (all)
				*at = folio->index;
			done = false;
		}
		folio_batch_release(&batch);
		cond_resched();
		if (at && time_after(jiffies, until)) {
			if (done)
				*at = next;
			return false;
		}
	}
	return done;
}

/* As after a change of the medium: file systems on it are shut down. May sleep. */
void yoke_sys_disk_changed(struct gendisk *disk)
{
	disk_force_media_change(disk);
}

/*
 * No page stays of those that are there from @at on, in pages of PAGE_SIZE: what
 * is dirty is lost, and who syncs hears of it. Not so under a file system, whose
 * buffers they are. May sleep, but waits for no I/O that is under way. Whether
 * that is done; else it is to be called again, with @at as it is then.
 */
bool yoke_sys_disk_drop_cache(struct gendisk *disk, u64 *at)
{
	pgoff_t next = *at;
	bool done = true;

	/* Nobody mounts it meanwhile. */
	mutex_lock(&disk->open_mutex);
	if (!yoke_sys_disk_is_mounted(disk))
		done = yoke_sys_mapping_drop(disk->part0->bd_mapping, &next);
	mutex_unlock(&disk->open_mutex);
	*at = next;
	return done;
}

/*
 * Drops what is clean, so that the disk is asked for it; nothing is lost. May
 * sleep, but waits for no I/O that is under way. Whether all of it is gone.
 */
bool yoke_sys_disk_forget(struct gendisk *disk)
{
	return yoke_sys_mapping_drop(disk->part0->bd_mapping, NULL);
}
