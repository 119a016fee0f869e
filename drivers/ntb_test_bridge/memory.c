// SPDX-License-Identifier: GPL-2.0
/*
 * What is behind the windows. A real bridge leads to any memory that its client
 * allocates. Here the outbound window is a fixed place, so the memory that a side
 * hands out is a part of it: an arena of which one aligned piece is the window,
 * while allocations begin a little in front of that. A client that aligns what it
 * gets as the bridge asks finds exactly that piece; every other one is refused.
 *
 * A client that does not give its memory back gets one more arena, so that it
 * shows: the outbound window leads to the one that was given out last, for a
 * client of the other end that looks where it is from then on.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include "bridge.h"

/* The largest that the page allocator has. */
#define ARENA_ORDER	MAX_PAGE_ORDER
#define ARENA_SIZE	(PAGE_SIZE << ARENA_ORDER)

static resource_size_t alignment(void)
{
	resource_size_t align = max_t(resource_size_t, nature->addr_align, PAGE_SIZE);

	if (nature->natural)
		align = max_t(resource_size_t, align,
			      rounddown_pow_of_two(nature->size[bridge_window()]));
	return align;
}

phys_addr_t memory_target(const struct side *side)
{
	return page_to_phys(READ_ONCE(side->arena)->pages) +
	       (nature->skew ? alignment() : 0);
}

bool memory_taken(const struct side *side)
{
	return READ_ONCE(READ_ONCE(side->arena)->taken);
}

dma_addr_t memory_address(const struct side *side)
{
	return memory_target(side) + (nature->sends ? side->allocations << 40 : 0);
}

static struct side *side_of_device(struct device *dev)
{
	int i;

	for (i = 0; i < SIDES; i++)
		if (dev == &sides[i].dma->dev ||
		    (sides[i].ntb.pdev && dev == &sides[i].ntb.pdev->dev))
			return &sides[i];
	return NULL;
}

static void *arena_alloc(struct device *dev, size_t size, dma_addr_t *handle,
			 gfp_t gfp, unsigned long attrs)
{
	struct side *side = side_of_device(dev);
	void *base;
	int i = 0;

	if (!side || size > nature->alloc_max ||
	    size + nature->skew > ARENA_SIZE)
		return NULL;
	while (i < ARENAS && side->arenas[i].taken)
		i++;
	if (i == ARENAS)
		return NULL;
	WRITE_ONCE(side->arenas[i].taken, true);
	WRITE_ONCE(side->arena, &side->arenas[i]);
	side->allocations++;
	side->held++;
	base = page_address(side->arena->pages) + nature->skew;
	memset(base, 0, size);
	*handle = memory_address(side) - memory_target(side) +
		  page_to_phys(side->arena->pages) + nature->skew;
	return base;
}

static void arena_free(struct device *dev, size_t size, void *base,
		       dma_addr_t handle, unsigned long attrs)
{
	struct side *side = side_of_device(dev);
	int i;

	if (!side)
		return;
	/* What somebody still uses shows. */
	memset(base, 0x6b, size);
	side->held--;
	for (i = 0; i < ARENAS; i++) {
		if (base != page_address(side->arenas[i].pages) + nature->skew)
			continue;
		if (side->arena == &side->arenas[i])
			side->exposed += bridge_is_reached(side);
		WRITE_ONCE(side->arenas[i].taken, false);
	}
}

static int arena_map_sg(struct device *dev, struct scatterlist *sg, int nents,
			enum dma_data_direction dir, unsigned long attrs)
{
	return -EIO;
}

static const struct dma_map_ops arena_ops = {
	.alloc = arena_alloc,
	.free = arena_free,
	.map_sg = arena_map_sg,
};

void memory_install(struct side *side, struct pci_dev *pdev, bool on)
{
	if (!nature->other_dma)
		set_dma_ops(&pdev->dev, on ? &arena_ops : NULL);
}

static struct page *arena_new(void)
{
	struct page *pages;
	unsigned long i;

	pages = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN, ARENA_ORDER);
	/* ioremap() takes no memory but what is reserved. */
	for (i = 0; pages && i < 1UL << ARENA_ORDER; i++)
		SetPageReserved(pages + i);
	return pages;
}

static void arena_end(struct page *pages)
{
	unsigned long i;

	if (!pages)
		return;
	for (i = 0; i < 1UL << ARENA_ORDER; i++)
		ClearPageReserved(pages + i);
	__free_pages(pages, ARENA_ORDER);
}

int memory_init(struct side *side)
{
	int i;

	side->arena = &side->arenas[0];
	for (i = 0; i < ARENAS; i++) {
		side->arenas[i].pages = arena_new();
		if (!side->arenas[i].pages)
			return -ENOMEM;
	}
	side->dma = platform_device_register_simple("ntb_test_dma", side->number,
						    NULL, 0);
	if (IS_ERR(side->dma)) {
		int err = PTR_ERR(side->dma);

		side->dma = NULL;
		return err;
	}
	set_dma_ops(&side->dma->dev, &arena_ops);
	return dma_coerce_mask_and_coherent(&side->dma->dev, DMA_BIT_MASK(64));
}

void memory_exit(struct side *side)
{
	int i;

	if (side->dma)
		platform_device_unregister(side->dma);
	for (i = 0; i < ARENAS; i++)
		arena_end(side->arenas[i].pages);
}

void memory_files(struct side *side)
{
	debugfs_create_u32("held", 0400, side->dir, &side->held);
}
