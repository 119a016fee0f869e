// SPDX-License-Identifier: GPL-2.0
/*
 * The message registers of the test bridge. Each end has four, which the other
 * one fills. A full one takes nothing until its owner clears its status; who
 * writes it all the same is told by the status of his own outbound register.
 *
 * In /sys/kernel/debug/ntb_test_bridge/SIDE:
 *
 *   refuse write a number: so often the first register takes nothing, as if it were
 *          full
 *   late   write 1: what stood in the registers last arrives once more, after the
 *          next down and after this end has spoken again, in place of what the
 *          other end writes then. Reads 4 when that has happened.
 */
#include "bridge.h"

#define IN(index)	BIT_ULL(16 + (index))
#define OUT(index)	BIT_ULL(index)
#define ALL_IN		(IN(MESSAGES) - IN(0))
#define ALL_OUT		(OUT(MESSAGES) - OUT(0))

enum { LATE_NOT, LATE_ARMED, LATE_AFTER_DOWN, LATE_NEXT, LATE_ARRIVED };

/* Guards the messages of both sides. */
static DEFINE_SPINLOCK(lock);

static int msg_count(struct ntb_dev *ntb)
{
	return MESSAGES;
}

static u64 msg_inbits(struct ntb_dev *ntb)
{
	return ALL_IN;
}

static u64 msg_outbits(struct ntb_dev *ntb)
{
	return ALL_OUT;
}

static u64 msg_read_sts(struct ntb_dev *ntb)
{
	return READ_ONCE(side_of(ntb)->msg_sts);
}

static void change(u64 *word, u64 clear, u64 set)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	WRITE_ONCE(*word, (*word & ~clear) | set);
	spin_unlock_irqrestore(&lock, flags);
}

static int msg_clear_sts(struct ntb_dev *ntb, u64 bits)
{
	change(&side_of(ntb)->msg_sts, bits, 0);
	return 0;
}

static int msg_set_mask(struct ntb_dev *ntb, u64 bits)
{
	if (bits & ~(ALL_IN | ALL_OUT))
		return -EINVAL;
	change(&side_of(ntb)->msg_mask, 0, bits);
	return 0;
}

/* As of doorbells: no event for what stood there before. */
static int msg_clear_mask(struct ntb_dev *ntb, u64 bits)
{
	change(&side_of(ntb)->msg_mask, bits, 0);
	return 0;
}

static u32 msg_read(struct ntb_dev *ntb, int *pidx, int midx)
{
	if (midx < 0 || midx >= MESSAGES)
		return ~(u32)0;
	if (pidx)
		*pidx = 0;
	return READ_ONCE(side_of(ntb)->in[midx]);
}

/* One register of the peer, as @lock is held. */
static void fill(struct side *side, struct side *peer, int midx, u32 msg)
{
	if (!midx && peer->late == LATE_NEXT && !(peer->msg_sts & ALL_IN)) {
		peer->late = LATE_ARRIVED;
		memcpy(peer->in, peer->kept, sizeof(peer->in));
		peer->msg_sts |= ALL_IN;
	}
	if (peer->msg_sts & IN(midx) || (!midx && peer->refuse)) {
		peer->refuse -= !midx && peer->refuse;
		side->msg_sts |= OUT(midx);
		return;
	}
	WRITE_ONCE(peer->in[midx], msg);
	peer->msg_sts |= IN(midx);
	if (midx < MESSAGES - 1)
		return;
	memcpy(peer->last, peer->in, sizeof(peer->last));
	if (side->late == LATE_AFTER_DOWN && side->up)
		side->late = LATE_NEXT;
}

/* Always succeeds, whatever comes of it. */
static int peer_msg_write(struct ntb_dev *ntb, int pidx, int midx, u32 msg)
{
	struct side *side = side_of(ntb), *peer = peer_of(side);
	unsigned long flags;

	if (pidx || midx < 0 || midx >= MESSAGES)
		return -EINVAL;
	spin_lock_irqsave(&lock, flags);
	fill(side, peer, midx, msg);
	spin_unlock_irqrestore(&lock, flags);
	messages_kick(peer);
	return 0;
}

void messages_offer(struct ntb_dev_ops *ops)
{
	ops->msg_count = msg_count;
	ops->msg_inbits = msg_inbits;
	ops->msg_outbits = msg_outbits;
	ops->msg_read_sts = msg_read_sts;
	ops->msg_clear_sts = msg_clear_sts;
	ops->msg_set_mask = msg_set_mask;
	ops->msg_clear_mask = msg_clear_mask;
	ops->msg_read = msg_read;
	ops->peer_msg_write = peer_msg_write;
}

/* In hard interrupt. */
static void tell_message(struct irq_work *work)
{
	struct side *side = container_of(work, struct side, msg_work);

	if (READ_ONCE(side->msg_sts) & ~READ_ONCE(side->msg_mask))
		ntb_msg_event(&side->ntb);
}

void messages_kick(struct side *side)
{
	if (READ_ONCE(side->registered) && !READ_ONCE(side->frozen))
		irq_work_queue(&side->msg_work);
}

void messages_link_down(struct side *side)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	if (side->late == LATE_ARMED)
		side->late = LATE_AFTER_DOWN;
	spin_unlock_irqrestore(&lock, flags);
}

void messages_register(struct side *side)
{
	change(&side->msg_mask, 0, ALL_IN | ALL_OUT);
}

void messages_unregister(struct side *side)
{
	irq_work_sync(&side->msg_work);
}

void messages_init(struct side *side)
{
	init_irq_work(&side->msg_work, tell_message);
}

static int late_set(void *data, u64 value)
{
	struct side *side = data;
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	memcpy(side->kept, side->last, sizeof(side->kept));
	side->late = value ? LATE_ARMED : LATE_NOT;
	spin_unlock_irqrestore(&lock, flags);
	return 0;
}

static int late_get(void *data, u64 *value)
{
	struct side *side = data;

	*value = READ_ONCE(side->late);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(late_fops, late_get, late_set, "%llu\n");

void messages_files(struct side *side)
{
	debugfs_create_file_unsafe("late", 0600, side->dir, side, &late_fops);
	debugfs_create_u32("refuse", 0600, side->dir, &side->refuse);
}
