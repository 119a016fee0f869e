/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A bridge for tests: two NTB devices in one machine that lead to each other,
 * with the constraints of real bridges.
 *
 *   bus.c     a PCI bus with the two devices, so that they can be removed and rescanned
 *   bridge.c  the NTB API
 *   memory.c  what is behind the windows
 */
#ifndef NTB_TEST_BRIDGE_H
#define NTB_TEST_BRIDGE_H

#include <linux/debugfs.h>
#include <linux/dma-map-ops.h>
#include <linux/irq_work.h>
#include <linux/ntb.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/workqueue.h>

#define SIDES		2
#define WINDOWS_MAX	4

/* What kind of bridge it plays. Sizes in bytes. */
struct nature {
	const char *name;
	int windows;
	resource_size_t size[WINDOWS_MAX];
	resource_size_t addr_align, size_align;	/* as it says */
	bool natural;		/* addresses: a multiple of the power of two in the size; it does not say so */
	bool by_peer;		/* windows are known, and can be set, while the link is up only */
	bool forgets;		/* a down clears the translation */
	bool sends;		/* translates at the sending end */
	bool other_dma;		/* memory belongs to another device than the NTB's PCI device */
	size_t alloc_max;	/* more memory is not to be had at once */
	size_t skew;		/* memory begins so far behind an aligned address */
	int port[SIDES];
	u64 doorbells;		/* valid ones */
};

/* One end. */
struct side {
	struct ntb_dev ntb;
	int number;
	bool registered;	/* under `telling` */
	bool enabled;		/* under the lock of all sides, with `trans`; so is `up` written */
	bool up;		/* what link_is_up says: as of the last event, like a cached register */
	struct mutex telling;	/* while the client is being told of the link */
	struct work_struct link_work;
	struct irq_work db_work;
	atomic64_t db, db_mask;
	struct { dma_addr_t addr; resource_size_t size; u64 count; } trans;

	/* memory.c; for as long as the module is loaded */
	struct platform_device *dma;
	struct page *arena;
	bool taken;
	struct dentry *dir;
};

extern const struct nature *nature;
extern struct side sides[SIDES];

/* The end behind an NTB device, and the other one. */
static inline struct side *side_of(struct ntb_dev *ntb)
{
	return container_of(ntb, struct side, ntb);
}

static inline struct side *peer_of(struct side *side)
{
	return &sides[!side->number];
}

/* The window that has memory behind it: the largest. */
int bridge_window(void);

/* bridge.c: a side's NTB device comes and goes. */
int bridge_register(struct side *side, struct pci_dev *pdev);
void bridge_unregister(struct side *side);
void bridge_init(struct side *side);
void bridge_files(struct side *side, struct dentry *top);

/* memory.c */
int memory_init(struct side *side);
void memory_exit(struct side *side);
/* Have memory of this PCI device come from the side. NULL: no longer. */
void memory_install(struct side *side, struct pci_dev *pdev, bool on);
/* Where the peer's stores to the window arrive. */
phys_addr_t memory_target(const struct side *side);

#endif
