/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A bridge for tests: two NTB devices in one machine that lead to each other,
 * with the constraints of real bridges.
 *
 *   bus.c       a PCI bus with the two devices, so that they can be removed and rescanned
 *   bridge.c    the NTB API
 *   messages.c  its message registers
 *   memory.c    what is behind the windows
 *   faults.c    calls that fail for a while
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
#define MESSAGES	4
#define ARENAS		2

/* What kind of bridge it plays. Sizes in bytes. */
struct nature {
	const char *name;
	int windows;
	resource_size_t size[WINDOWS_MAX];
	resource_size_t addr_align, size_align;	/* as it says */
	bool natural;		/* addresses: a multiple of the power of two in the size; it does not say so */
	bool by_peer;		/* windows are known, and can be set, while the link is up only */
	bool forgets;		/* a down clears the translation */
	bool sends;		/* as IDT: translates at the sending end, has messages, and one doorbell register for all */
	bool mute;		/* but has no messages */
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
	struct { dma_addr_t addr; resource_size_t size; u64 count, stale; } trans;
	bool frozen;		/* its machine stands still: no events */
	u16 command;		/* of its PCI device */
	struct { u32 trans, align, clear, enable, slow; } fail;	/* faults.c: so many calls still do */

	/* messages.c, under its lock */
	u32 in[MESSAGES], last[MESSAGES], kept[MESSAGES];
	u64 msg_sts, msg_mask;
	int late;
	u32 refuse;
	struct irq_work msg_work;

	/* memory.c; for as long as the module is loaded */
	struct platform_device *dma;
	struct { struct page *pages; bool taken; } arenas[ARENAS], *arena;	/* `arena`: the one used last */
	u32 held;
	u64 allocations, exposed;
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

/* Whether stores of the other end arrive in memory of this one. */
bool bridge_is_reached(struct side *side);

/* messages.c: the registers stay as they are while a device is away, but for their masks. */
void messages_offer(struct ntb_dev_ops *ops);
void messages_register(struct side *side);
void messages_unregister(struct side *side);
void messages_link_down(struct side *side);
void messages_init(struct side *side);
void messages_files(struct side *side);
/* Tells the client what it has not seen. */
void messages_kick(struct side *side);

/* memory.c */
int memory_init(struct side *side);
void memory_exit(struct side *side);
/* Have memory of this PCI device come from the side. NULL: no longer. */
void memory_install(struct side *side, struct pci_dev *pdev, bool on);
/* Where the peer's stores to the window arrive. */
phys_addr_t memory_target(const struct side *side);
/* Whether the client has the memory there. */
bool memory_taken(const struct side *side);
void memory_files(struct side *side);
/* What the bridge has to be told to get there: another one for each allocation of a side whose peer translates. */
dma_addr_t memory_address(const struct side *side);

/* faults.c: whether this call is one of those that are to fail. Any context. */
bool faults_hit(u32 *left);
void faults_files(struct side *side);

#endif
