// SPDX-License-Identifier: GPL-2.0
/*
 * What goes through a link that has its device: one shim for each call of
 * include/yoke/interconnect.h, and the inbound window. Without a device a link
 * is down: nothing is posted, loads fail.
 */
#include <linux/overflow.h>

/* The generation of a device, below the number of devices so far. */
#define YOKE_SYS_GENERATION_BITS	48

/*
 * Around everything that touches the driver's memory. A device may be taken
 * away at any moment, and yoke_link_gone() waits for whoever is in here.
 */
static bool yoke_sys_link_enter(const struct yoke_link *link)
{
	rcu_read_lock();
	if (smp_load_acquire(&link->present))
		return true;
	rcu_read_unlock();
	return false;
}

static void yoke_sys_link_leave(void)
{
	rcu_read_unlock();
}

static u64 yoke_sys_link_age(const struct yoke_link *link, u64 generation)
{
	return ((u64)link->lives << YOKE_SYS_GENERATION_BITS) |
	       (generation & (BIT_ULL(YOKE_SYS_GENERATION_BITS) - 1));
}

/* 0 before the first device. May sleep. */
u32 yoke_sys_link_caps(const struct yoke_link *link)
{
	return READ_ONCE(link->caps);
}

u32 yoke_sys_link_max_message(const struct yoke_link *link)
{
	u32 max = 0;

	if (yoke_sys_link_enter(link)) {
		if (link->ic->caps & YOKE_IC_MESSAGE)
			max = link->ic->max_message;
		yoke_sys_link_leave();
	}
	return max;
}

/* Bytes of the own and the peer's window, as last known; 0 before the first device. */
void yoke_sys_link_sizes(const struct yoke_link *link, u64 *in, u64 *out)
{
	*in = READ_ONCE(link->window.in_size);
	*out = READ_ONCE(link->window.out_size);
}

bool yoke_sys_link_is_up(const struct yoke_link *link)
{
	bool up = false;

	if (yoke_sys_link_enter(link)) {
		up = link->ic->is_up(link->priv);
		yoke_sys_link_leave();
	}
	return up;
}

/* All ones without a device: equal to no generation of a link that was up. */
u64 yoke_sys_link_generation(const struct yoke_link *link)
{
	u64 generation = U64_MAX;

	if (yoke_sys_link_enter(link)) {
		generation = yoke_sys_link_age(link,
					       link->ic->generation(link->priv));
		yoke_sys_link_leave();
	}
	return generation;
}

/* 0 without a device. */
u32 yoke_sys_link_min_down_us(const struct yoke_link *link)
{
	u32 us = 0;

	if (yoke_sys_link_enter(link)) {
		us = link->ic->min_down_us(link->priv);
		yoke_sys_link_leave();
	}
	return us;
}

int yoke_sys_link_post(const struct yoke_link *link, u64 offset,
		       const void *src, u64 len)
{
	int err = -ENOTCONN;

	if (yoke_sys_link_enter(link)) {
		err = link->ic->post(link->priv, offset, src, len);
		yoke_sys_link_leave();
	}
	return err;
}

int yoke_sys_link_post64(const struct yoke_link *link, u64 offset, u64 value)
{
	int err = -ENOTCONN;

	if (yoke_sys_link_enter(link)) {
		err = link->ic->post64(link->priv, offset, value);
		yoke_sys_link_leave();
	}
	return err;
}

void yoke_sys_link_barrier(const struct yoke_link *link)
{
	/* In parentheses: barrier() is also a macro. */
	if (yoke_sys_link_enter(link)) {
		(link->ic->barrier)(link->priv);
		yoke_sys_link_leave();
	}
}

/* The word, and the generation as it was after the word had come. */
u64 yoke_sys_link_read64(const struct yoke_link *link, u64 offset,
			 u64 *generation)
{
	u64 value = U64_MAX;

	*generation = U64_MAX;
	if (yoke_sys_link_enter(link)) {
		value = link->ic->read64(link->priv, offset, generation);
		*generation = yoke_sys_link_age(link, *generation);
		yoke_sys_link_leave();
	}
	return value;
}

void yoke_sys_link_ring(const struct yoke_link *link)
{
	if (yoke_sys_link_enter(link)) {
		link->ic->ring(link->priv);
		yoke_sys_link_leave();
	}
}

/* Where @len bytes at @offset of our window are; NULL: outside. */
static void *yoke_sys_link_at(const struct yoke_link *link, u64 offset, u64 len)
{
	u64 end;

	if (check_add_overflow(offset, len, &end) || end > link->window.in_size)
		return NULL;
	return (u8 *)link->window.in + offset;
}

/*
 * Our own window. -ERANGE: outside of it, or a word that is not aligned;
 * -ENOTCONN: no device, and so no memory. A long copy or zeroing is the caller's
 * to cut: this holds the CPU.
 */
int yoke_sys_link_read(const struct yoke_link *link, u64 offset, void *dst,
		       size_t len)
{
	const void *src;

	if (!yoke_sys_link_enter(link))
		return -ENOTCONN;
	src = yoke_sys_link_at(link, offset, len);
	if (src)
		yoke_sys_copy(dst, src, len);
	yoke_sys_link_leave();
	return src ? 0 : -ERANGE;
}

int yoke_sys_link_write(const struct yoke_link *link, u64 offset,
			const void *src, size_t len)
{
	void *dst;

	if (!yoke_sys_link_enter(link))
		return -ENOTCONN;
	dst = yoke_sys_link_at(link, offset, len);
	if (dst)
		yoke_sys_copy(dst, src, len);
	yoke_sys_link_leave();
	return dst ? 0 : -ERANGE;
}

int yoke_sys_link_zero(const struct yoke_link *link, u64 offset, size_t len)
{
	void *dst;

	if (!yoke_sys_link_enter(link))
		return -ENOTCONN;
	dst = yoke_sys_link_at(link, offset, len);
	if (dst)
		yoke_sys_zero(dst, len);
	yoke_sys_link_leave();
	return dst ? 0 : -ERANGE;
}

int yoke_sys_link_load64(const struct yoke_link *link, u64 offset, u64 *value)
{
	const u64 *p;

	if (!yoke_sys_link_enter(link))
		return -ENOTCONN;
	p = offset % 8 ? NULL : yoke_sys_link_at(link, offset, 8);
	if (p)
		*value = smp_load_acquire(p);
	yoke_sys_link_leave();
	return p ? 0 : -ERANGE;
}

int yoke_sys_link_store64(const struct yoke_link *link, u64 offset, u64 value)
{
	u64 *p;

	if (!yoke_sys_link_enter(link))
		return -ENOTCONN;
	p = offset % 8 ? NULL : yoke_sys_link_at(link, offset, 8);
	if (p)
		smp_store_release(p, value);
	yoke_sys_link_leave();
	return p ? 0 : -ERANGE;
}

/* May sleep. `life` keeps the device's side while it does. */
int yoke_sys_link_send(struct yoke_link *link, const void *message, u32 len)
{
	int err = -ENOTCONN;

	mutex_lock(&link->life);
	if (READ_ONCE(link->present))
		err = link->ic->caps & YOKE_IC_MESSAGE ?
			link->ic->send(link->priv, message, len) : -EOPNOTSUPP;
	mutex_unlock(&link->life);
	return err;
}
