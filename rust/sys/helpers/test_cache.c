// SPDX-License-Identifier: GPL-2.0
/*
 * For KUnit suites: pages in the cache of a disk, as readers and writers leave
 * them. A page is named by its index, in pages of PAGE_SIZE.
 */
#include <linux/buffer_head.h>
#include <linux/pagemap.h>

static struct address_space *yoke_sys_test_mapping(struct gendisk *disk)
{
	return disk->part0->bd_mapping;
}

/* A page that was read; or written, and is not on the disk yet. 0, or a negative errno. */
int yoke_sys_test_cache_put(struct gendisk *disk, u64 index, bool dirty)
{
	struct folio *folio;

	folio = __filemap_get_folio(yoke_sys_test_mapping(disk), index,
				    FGP_LOCK | FGP_CREAT, GFP_KERNEL);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	folio_mark_uptodate(folio);
	if (dirty)
		folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
	return 0;
}

/* A page that is being read: it is locked, and empty. 0, or a negative errno. */
int yoke_sys_test_cache_begin(struct gendisk *disk, u64 index)
{
	struct folio *folio;

	folio = __filemap_get_folio(yoke_sys_test_mapping(disk), index,
				    FGP_LOCK | FGP_CREAT, GFP_KERNEL);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	folio_put(folio);
	return 0;
}

/*
 * A folio of two pages of which the first was read, and the other one is being
 * read: it is locked. 0, or a negative errno; EAGAIN if there is none so large.
 */
int yoke_sys_test_cache_read_half(struct gendisk *disk, u64 index)
{
	fgf_t how = FGP_LOCK | FGP_CREAT | fgf_set_order(2 * PAGE_SIZE);
	struct folio *folio;

	folio = __filemap_get_folio(yoke_sys_test_mapping(disk), index, how,
				    GFP_KERNEL);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (folio_size(folio) != 2 * PAGE_SIZE) {
		folio_unlock(folio);
		folio_put(folio);
		return -EAGAIN;
	}
	set_buffer_uptodate(create_empty_buffers(folio, PAGE_SIZE, 0));
	folio_put(folio);
	return 0;
}

/* Locks a page that is there, or lets it go. */
void yoke_sys_test_cache_lock(struct gendisk *disk, u64 index, bool lock)
{
	struct folio *folio;

	folio = filemap_get_folio(yoke_sys_test_mapping(disk), index);
	if (WARN_ON(IS_ERR(folio)))
		return;
	if (lock)
		folio_lock(folio);
	else
		folio_unlock(folio);
	folio_put(folio);
}

/* Whether there is a page. */
bool yoke_sys_test_cache_has(struct gendisk *disk, u64 index)
{
	struct folio *folio;

	folio = filemap_get_folio(yoke_sys_test_mapping(disk), index);
	if (IS_ERR(folio))
		return false;
	folio_put(folio);
	return true;
}
