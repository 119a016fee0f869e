// SPDX-License-Identifier: GPL-2.0
/*
 * What is behind the windows. A real bridge leads to any memory that its client
 * allocates. Here the outbound window is a fixed place, so the memory that a side
 * hands out is a part of it: an arena of which one aligned piece is the window,
 * while allocations begin a little in front of that. A client that aligns what it
 * gets as the bridge asks finds exactly that piece; every other one is refused.
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
	return page_to_phys(side->arena) + (nature->skew ? alignment() : 0);
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

	if (!side || side->taken || size > nature->alloc_max ||
	    size + nature->skew > ARENA_SIZE)
		return NULL;
	side->taken = true;
	side->allocations++;
	base = page_address(side->arena) + nature->skew;
	memset(base, 0, size);
	*handle = memory_address(side) - memory_target(side) +
		  page_to_phys(side->arena) + nature->skew;
	return base;
}

static void arena_free(struct device *dev, size_t size, void *base,
		       dma_addr_t handle, unsigned long attrs)
{
	struct side *side = side_of_device(dev);

	if (side) {
		/* What somebody still uses shows. */
		memset(base, 0x6b, size);
		side->exposed += bridge_is_reached(side);
		side->taken = false;
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

int memory_init(struct side *side)
{
	unsigned long i;

	side->arena = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN, ARENA_ORDER);
	if (!side->arena)
		return -ENOMEM;
	/* ioremap() takes no memory but what is reserved. */
	for (i = 0; i < 1UL << ARENA_ORDER; i++)
		SetPageReserved(side->arena + i);
	side->dma = platform_device_register_simple("ntb_test_dma", side->number,
						    NULL, 0);
	if (IS_ERR(side->dma)) {
		int err = PTR_ERR(side->dma);

		side->dma = NULL;
		memory_exit(side);
		return err;
	}
	set_dma_ops(&side->dma->dev, &arena_ops);
	return dma_coerce_mask_and_coherent(&side->dma->dev, DMA_BIT_MASK(64));
}

void memory_exit(struct side *side)
{
	unsigned long i;

	if (side->dma)
		platform_device_unregister(side->dma);
	if (!side->arena)
		return;
	for (i = 0; i < 1UL << ARENA_ORDER; i++)
		ClearPageReserved(side->arena + i);
	__free_pages(side->arena, ARENA_ORDER);
}
