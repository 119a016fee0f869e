// SPDX-License-Identifier: GPL-2.0
/*
 * The NTB API of the test bridge.
 *
 * In /sys/kernel/debug/ntb_test_bridge/SIDE:
 *
 *   flap    write a number: so often the link goes down and comes back, before the
 *           client is told; it is told once, and then the link is up
 *   trans   the size of the translation; how often one was set; how often it was
 *           set to what is not the other end's memory (any more), or for a window
 *           that the other end does not use; how often
 *           memory of this end was given back while the other end still reached it
 *   held    how many allocations of this end's memory were not given back
 *   frozen  write 1: the client is not told of anything until 0 is written
 *   late, refuse: see messages.c
 *   fail_*: see faults.c
 */
#include <linux/delay.h>
#include <linux/module.h>

#include "bridge.h"

/* Guards `enabled`, `trans` and `up` of all sides. */
static DEFINE_SPINLOCK(lock);

int bridge_window(void)
{
	int i, best = 0;

	for (i = 1; i < nature->windows; i++)
		if (nature->size[i] > nature->size[best])
			best = i;
	return best;
}

static bool is_enabled(const struct side *side)
{
	bool master = READ_ONCE(side->command) & PCI_COMMAND_MASTER;

	return side->enabled && (master || !nature->sends);
}

static bool both_enabled(void)
{
	return is_enabled(&sides[0]) && is_enabled(&sides[1]);
}

bool bridge_is_reached(struct side *side)
{
	struct side *by = nature->sends ? peer_of(side) : side;
	unsigned long flags;
	bool leads;

	spin_lock_irqsave(&lock, flags);
	leads = by->trans.size && by->trans.addr == memory_address(side);
	spin_unlock_irqrestore(&lock, flags);
	return leads && READ_ONCE(side->command) & PCI_COMMAND_MASTER;
}

/* Tells the client of one side what has become of the link. */
static void tell_link(struct work_struct *work)
{
	struct side *side = container_of(work, struct side, link_work);
	unsigned long flags;

	mutex_lock(&side->telling);
	spin_lock_irqsave(&lock, flags);
	side->up = both_enabled();
	if (!side->up && nature->forgets)
		side->trans.size = 0;
	if (!side->up)
		messages_link_down(side);
	spin_unlock_irqrestore(&lock, flags);
	if (side->registered && !READ_ONCE(side->frozen))
		ntb_link_event(&side->ntb);
	mutex_unlock(&side->telling);
}

static void set_enabled(struct side *side, bool enabled)
{
	unsigned long flags;
	int i;

	spin_lock_irqsave(&lock, flags);
	side->enabled = enabled;
	if (!enabled)
		side->up = false;
	spin_unlock_irqrestore(&lock, flags);
	for (i = 0; i < SIDES; i++)
		if (i != side->number || enabled)
			queue_work(system_highpri_wq, &sides[i].link_work);
}

static u64 link_is_up(struct ntb_dev *ntb, enum ntb_speed *speed,
		      enum ntb_width *width)
{
	if (speed)
		*speed = NTB_SPEED_GEN3;
	if (width)
		*width = NTB_WIDTH_8;
	return READ_ONCE(side_of(ntb)->up);
}

static int link_enable(struct ntb_dev *ntb, enum ntb_speed speed,
		       enum ntb_width width)
{
	if (faults_hit(&side_of(ntb)->fail.enable))
		return -ENODEV;
	set_enabled(side_of(ntb), true);
	return 0;
}

static int link_disable(struct ntb_dev *ntb)
{
	set_enabled(side_of(ntb), false);
	return 0;
}

static int port_number(struct ntb_dev *ntb)
{
	return nature->port[side_of(ntb)->number];
}

static int peer_port_count(struct ntb_dev *ntb)
{
	return 1;
}

static int peer_port_number(struct ntb_dev *ntb, int pidx)
{
	return pidx ? -EINVAL : nature->port[peer_of(side_of(ntb))->number];
}

static int peer_port_idx(struct ntb_dev *ntb, int port)
{
	return port == peer_port_number(ntb, 0) ? 0 : -EINVAL;
}

static int mw_count(struct ntb_dev *ntb, int pidx)
{
	return pidx ? -EINVAL : nature->windows;
}

static int peer_mw_count(struct ntb_dev *ntb)
{
	return nature->windows;
}

static int mw_get_align(struct ntb_dev *ntb, int pidx, int widx,
			resource_size_t *addr_align, resource_size_t *size_align,
			resource_size_t *size_max)
{
	bool known = !nature->by_peer || READ_ONCE(side_of(ntb)->up);

	if (pidx || widx < 0 || widx >= nature->windows)
		return -EINVAL;
	if (widx == bridge_window() && faults_hit(&side_of(ntb)->fail.align))
		return -EIO;
	if (addr_align)
		*addr_align = nature->addr_align;
	if (size_align)
		*size_align = nature->size_align;
	/* What a read of a peer that is not there gives. */
	if (size_max)
		*size_max = known ? nature->size[widx] : (resource_size_t)-1;
	return 0;
}

/* Whether a real bridge would take this, and ours can. */
static int check_trans(struct side *side, int widx, dma_addr_t addr,
		       resource_size_t size)
{
	if (widx < 0 || widx >= nature->windows || size > nature->size[widx])
		return -EINVAL;
	if (!IS_ALIGNED(addr, nature->addr_align) || size % nature->size_align)
		return -EINVAL;
	if (nature->natural && !IS_ALIGNED(addr, rounddown_pow_of_two(size)))
		return -EINVAL;
	if (nature->by_peer && !READ_ONCE(side->up))
		return -EIO;
	return addr == memory_target(side) ? 0 : -EINVAL;
}

/* Whether a call that would be taken is to fail all the same. */
static int fails(struct side *side, resource_size_t size)
{
	if (!faults_hit(size ? &side->fail.trans : &side->fail.clear))
		return 0;
	if (!size)
		msleep(READ_ONCE(side->fail.slow));
	return -EIO;
}

static int mw_set_trans(struct ntb_dev *ntb, int pidx, int widx, dma_addr_t addr,
			resource_size_t size)
{
	struct side *side = side_of(ntb);
	unsigned long flags;
	int err = pidx ? -EINVAL : size ? check_trans(side, widx, addr, size) : 0;

	/* The firmware of a switch takes its time, and for a task with a signal its driver waits no longer. */
	if (nature->by_peer && msleep_interruptible(20))
		return -EINTR;
	if (!err)
		err = fails(side, size);
	if (err)
		return err;
	spin_lock_irqsave(&lock, flags);
	side->trans.addr = addr;
	side->trans.size = size;
	side->trans.count += !!size;
	/* The bridge takes what is not the window that the peer will use. */
	side->trans.stale += size && widx != bridge_window();
	spin_unlock_irqrestore(&lock, flags);
	return 0;
}

/* The bridge does not know whether there is memory. */
static int peer_mw_set_trans(struct ntb_dev *ntb, int pidx, int widx, u64 addr,
			     resource_size_t size)
{
	struct side *side = side_of(ntb), *peer = peer_of(side);
	unsigned long flags;

	if (pidx || widx < 0 || widx >= nature->windows || size > nature->size[widx])
		return -EINVAL;
	if (!IS_ALIGNED(addr, nature->addr_align) || size % nature->size_align)
		return -EINVAL;
	if (fails(side, size))
		return -EIO;
	spin_lock_irqsave(&lock, flags);
	side->trans.addr = addr;
	side->trans.size = size;
	side->trans.count += !!size;
	if (size && (!memory_taken(peer) || addr != memory_address(peer) ||
		     widx != bridge_window()))
		side->trans.stale++;
	spin_unlock_irqrestore(&lock, flags);
	return 0;
}

static int peer_mw_get_addr(struct ntb_dev *ntb, int widx, phys_addr_t *base,
			    resource_size_t *size)
{
	if (widx < 0 || widx >= nature->windows)
		return -EINVAL;
	if (base)
		*base = memory_target(peer_of(side_of(ntb)));
	if (size)
		*size = nature->size[widx];
	return 0;
}

static u64 db_valid_mask(struct ntb_dev *ntb)
{
	return nature->doorbells;
}

static u64 db_read(struct ntb_dev *ntb)
{
	return atomic64_read(&side_of(ntb)->db);
}

static int db_clear(struct ntb_dev *ntb, u64 bits)
{
	atomic64_andnot(bits, &side_of(ntb)->db);
	if (nature->sends)
		atomic64_andnot(bits, &peer_of(side_of(ntb))->db);
	return 0;
}

/* In hard interrupt, as a real one. */
static void tell_doorbell(struct irq_work *work)
{
	struct side *side = container_of(work, struct side, db_work);

	if (!READ_ONCE(side->frozen) &&
	    atomic64_read(&side->db) & ~atomic64_read(&side->db_mask))
		ntb_db_event(&side->ntb, 0);
}

static int db_set_mask(struct ntb_dev *ntb, u64 bits)
{
	if (bits & ~nature->doorbells)
		return -EINVAL;
	atomic64_or(bits, &side_of(ntb)->db_mask);
	return 0;
}

static int db_clear_mask(struct ntb_dev *ntb, u64 bits)
{
	if (bits & ~nature->doorbells)
		return -EINVAL;
	atomic64_andnot(bits, &side_of(ntb)->db_mask);
	irq_work_queue(&side_of(ntb)->db_work);
	return 0;
}

static int peer_db_set(struct ntb_dev *ntb, u64 bits)
{
	struct side *side = side_of(ntb), *peer = peer_of(side);

	if (bits & ~nature->doorbells)
		return -EINVAL;
	if (!READ_ONCE(side->up))
		return 0;
	atomic64_or(bits, &peer->db);
	if (nature->sends) {
		/* Whoever rings may be the first to hear of it. */
		atomic64_or(bits, &side->db);
		irq_work_queue(&side->db_work);
	}
	irq_work_queue(&peer->db_work);
	return 0;
}

static struct device *get_dma_dev(struct ntb_dev *ntb)
{
	return nature->other_dma ? &side_of(ntb)->dma->dev : &ntb->pdev->dev;
}

/* Without mw_set_trans for a bridge that translates at the sending end. */
static struct ntb_dev_ops bridge_ops = {
	.port_number = port_number,
	.peer_port_count = peer_port_count,
	.peer_port_number = peer_port_number,
	.peer_port_idx = peer_port_idx,
	.link_is_up = link_is_up,
	.link_enable = link_enable,
	.link_disable = link_disable,
	.mw_count = mw_count,
	.mw_get_align = mw_get_align,
	.mw_set_trans = mw_set_trans,
	.peer_mw_count = peer_mw_count,
	.peer_mw_get_addr = peer_mw_get_addr,
	.db_valid_mask = db_valid_mask,
	.db_read = db_read,
	.db_clear = db_clear,
	.db_set_mask = db_set_mask,
	.db_clear_mask = db_clear_mask,
	.peer_db_set = peer_db_set,
	.get_dma_dev = get_dma_dev,
};

int bridge_register(struct side *side, struct pci_dev *pdev)
{
	int err;

	if (nature->sends) {
		bridge_ops.mw_set_trans = NULL;
		bridge_ops.peer_mw_set_trans = peer_mw_set_trans;
		if (!nature->mute)
			messages_offer(&bridge_ops);
	}
	memset(&side->ntb, 0, sizeof(side->ntb));
	side->ntb.pdev = pdev;
	side->ntb.topo = NTB_TOPO_SWITCH;
	side->ntb.ops = &bridge_ops;
	messages_register(side);
	atomic64_set(&side->db, 0);
	atomic64_set(&side->db_mask, nature->doorbells);
	memory_install(side, pdev, true);
	err = ntb_register_device(&side->ntb);
	if (err) {
		memory_install(side, pdev, false);
		side->ntb.pdev = NULL;
		return err;
	}
	mutex_lock(&side->telling);
	side->registered = true;
	mutex_unlock(&side->telling);
	queue_work(system_highpri_wq, &side->link_work);
	return 0;
}

void bridge_unregister(struct side *side)
{
	mutex_lock(&side->telling);
	side->registered = false;
	mutex_unlock(&side->telling);
	ntb_unregister_device(&side->ntb);
	set_enabled(side, false);
	cancel_work_sync(&side->link_work);
	irq_work_sync(&side->db_work);
	messages_unregister(side);
	memory_install(side, side->ntb.pdev, false);
	side->ntb.pdev = NULL;
}

static int flap_set(void *data, u64 count)
{
	struct side *side = data;
	unsigned long flags;
	u64 i;

	for (i = 0; i < count; i++) {
		spin_lock_irqsave(&lock, flags);
		if (nature->forgets)
			side->trans.size = 0;
		spin_unlock_irqrestore(&lock, flags);
	}
	/* By now it is up again, and has been in between only for those who look at nothing else than events. */
	for (i = 0; i < SIDES; i++)
		queue_work(system_highpri_wq, &sides[i].link_work);
	for (i = 0; i < SIDES; i++)
		flush_work(&sides[i].link_work);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(flap_fops, NULL, flap_set, "%llu\n");

static int trans_show(struct seq_file *file, void *unused)
{
	struct side *side = file->private;
	unsigned long flags;
	resource_size_t size;
	u64 count, stale;

	spin_lock_irqsave(&lock, flags);
	size = side->trans.size;
	count = side->trans.count;
	stale = side->trans.stale;
	spin_unlock_irqrestore(&lock, flags);
	seq_printf(file, "%llu %llu %llu %llu\n", (u64)size, count, stale,
		   READ_ONCE(side->exposed));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(trans);

static int frozen_set(void *data, u64 value)
{
	struct side *side = data;

	WRITE_ONCE(side->frozen, value);
	if (!value) {
		queue_work(system_highpri_wq, &side->link_work);
		irq_work_queue(&side->db_work);
		messages_kick(side);
	}
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(frozen_fops, NULL, frozen_set, "%llu\n");

void bridge_init(struct side *side)
{
	mutex_init(&side->telling);
	INIT_WORK(&side->link_work, tell_link);
	init_irq_work(&side->db_work, tell_doorbell);
	messages_init(side);
}

void bridge_files(struct side *side, struct dentry *top)
{
	side->dir = debugfs_create_dir(side->number ? "1" : "0", top);
	debugfs_create_file_unsafe("flap", 0200, side->dir, side, &flap_fops);
	debugfs_create_file("trans", 0400, side->dir, side, &trans_fops);
	debugfs_create_file_unsafe("frozen", 0200, side->dir, side, &frozen_fops);
	memory_files(side);
	messages_files(side);
	faults_files(side);
}
