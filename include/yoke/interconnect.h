/* SPDX-License-Identifier: GPL-2.0 */
/*
 * yoke: the contract of an interconnect driver.
 *
 * An interconnect is a *kind* of link (ntb, tcp, loopback). A driver registers
 * one struct yoke_interconnect for its kind; yoke then creates links of that
 * kind, as configured. The driver knows nothing of sessions, volumes or
 * messages: it gives yoke a window of own memory that the peer can write, a way
 * to write (and slowly read) the peer's window, and a doorbell.
 *
 * Life of a link at its device, each call from a sleepable context, never two of
 * these at once for one link:
 *
 *	create -> start -> (post, read64, ring ..., prepare) -> stop -> destroy
 *
 * Hot calls come only between start and stop, and not after yoke_link_gone().
 * Devices come and go: after yoke_link_gone() yoke destroys what it has of the
 * link here, and creates it anew when yoke_interconnect_device() tells that the
 * device is back. yoke holds a reference on the driver's module from create to
 * destroy, and none for a link that waits for its device.
 *
 * Ordering contract of the outbound window (PROTOCOL P2):
 *  - post() and post64() are posted writes. They need not have arrived when the
 *    call returns, may arrive in any order within one call, and arrive in call
 *    order when a barrier() stands between the calls on the same CPU.
 *  - read64() is answered by the peer's memory through the same path and cannot
 *    pass earlier posts of any CPU that are ordered before it: its answer proves
 *    that they have arrived, provided that the link was up all the time.
 *  - Whether it was is for the driver to say: it owns the *generation* of the
 *    link. Every down, of whatever length, raises it, and so does every event
 *    that may have been one. read64() gives the generation as well, and reads it
 *    after the word is there. Another one than before the posts: they prove
 *    nothing.
 *  - A bridge that does not latch may come back before the driver has heard of
 *    the down. So min_down_us names a time that every down lasts: what was
 *    posted that long before the word came back, or longer, proves nothing, since
 *    a whole down may fit in between. What is younger does: had the link gone
 *    down after it, it would not be back, and the read had found nothing.
 */
#ifndef _YOKE_INTERCONNECT_H
#define _YOKE_INTERCONNECT_H

#include <linux/types.h>

struct module;
struct yoke_link;	/* yoke's side of a link; opaque to drivers */

/* Raised whenever the meaning of anything below changes. */
#define YOKE_INTERCONNECT_ABI	2

/* Longest interconnect kind and device name, with the closing NUL. */
#define YOKE_KIND_LEN		16
#define YOKE_DEVICE_LEN		64

/* Capabilities (struct yoke_interconnect.caps). */
#define YOKE_IC_WINDOW		(1u << 0)	/* has windows: post, read64 */
#define YOKE_IC_READ_BACK	(1u << 1)	/* read64 is a fence (PROTOCOL P2) */
#define YOKE_IC_ATOMICS		(1u << 2)	/* coherent atomics across the link */
#define YOKE_IC_MESSAGE		(1u << 3)	/* has messages: send */

/*
 * The part of a window that is read through the link, and never posted to: a
 * driver maps it uncached and without prefetching (PROTOCOL P11). Reads of other
 * places need not be ordered after anything.
 */
#define YOKE_READ_AT		4096
#define YOKE_READ_SIZE		4096

/**
 * struct yoke_window - what a started link offers
 * @in:		own memory, mapped cached, that the peer writes; zeroed by start()
 * @in_size:	its length in bytes, a multiple of 4096
 * @out_size:	length in bytes of the peer's window that post() reaches
 */
struct yoke_window {
	void	*in;
	__u64	in_size;
	__u64	out_size;
};

/**
 * struct yoke_interconnect - one kind of link
 *
 * All function pointers are mandatory, but prepare, and send (with
 * YOKE_IC_MESSAGE only). "hot" calls may come from any context, hard irq apart,
 * with irqs on or off, from several CPUs at once; they neither sleep nor wait.
 */
struct yoke_interconnect {
	__u32		abi;		/* YOKE_INTERCONNECT_ABI */
	/*
	 * sizeof(struct yoke_interconnect), as the driver knows it. What a later
	 * header has and an older driver lacks counts as 0; a driver that says
	 * more than yoke knows is refused.
	 */
	__u32		struct_size;
	__u32		caps;		/* YOKE_IC_* */
	__u32		max_message;	/* bytes a send() takes, 0 without messages */
	char		kind[YOKE_KIND_LEN];
	struct module	*owner;

	/**
	 * @create: bind to the device that @device names (for ntb: the NTB
	 * device's name in /sys/bus/ntb/devices). Returns 0 and *@priv;
	 * -ENODEV: no such device, yoke waits for it; -EBUSY: somebody else has
	 * it; -EINVAL: not a name of this kind; -ENOMEM.
	 */
	int	(*create)(struct yoke_link *link, const char *device, void **priv);

	/** @destroy: undo create; the link is stopped. */
	void	(*destroy)(void *priv);

	/**
	 * @start: allocate and zero the inbound window, tell the peer where it is
	 * and enable the link. yoke_link_changed() comes when it is up, which may
	 * be much later, or never. Returns 0 and the sizes; -ENODEV: the device is
	 * going; -ENOMEM; -ENOSPC when the hardware's window is too small;
	 * -EOPNOTSUPP: this hardware cannot carry a link; -ENOTRECOVERABLE: it
	 * may still lead to the memory of an earlier start, which cannot be used
	 * again; -EIO.
	 */
	int	(*start)(void *priv, struct yoke_window *window);

	/**
	 * @stop: disable the link, withdraw the window. When it returns, no
	 * upcall is under way and none will come, and the peer's writes no longer
	 * reach the window's memory.
	 */
	void	(*stop)(void *priv);

	/**
	 * @prepare: may be NULL. What the driver has to do in a sleepable context
	 * before the link is up; called after each yoke_link_prepare().
	 */
	void	(*prepare)(void *priv);

	/** @is_up: hot. Whether both ends are enabled and connected right now. */
	bool	(*is_up)(void *priv);

	/**
	 * @generation: hot. A number below 2^48 that every down, of any length,
	 * raises. Compared for equality only.
	 */
	u64	(*generation)(void *priv);

	/**
	 * @min_down_us: a time, in microseconds, that every down lasts at least;
	 * not 0. The same from start to stop.
	 */
	u32	(*min_down_us)(void *priv);

	/**
	 * @post: hot. Copy @len bytes to @offset of the peer's window.
	 * Returns 0; -ERANGE outside of the window (nothing is written);
	 * -ENOTCONN while the link is down (nothing is promised); any other error
	 * means as well that nothing is proved by the next read.
	 */
	int	(*post)(void *priv, u64 offset, const void *src, u64 len);

	/** @post64: hot. One aligned little-endian store; errors as post. */
	int	(*post64)(void *priv, u64 offset, u64 value);

	/** @barrier: hot. Posts before it arrive before posts after it. */
	void	(*barrier)(void *priv);

	/**
	 * @read64: hot, but may stall for the completion timeout of the bus.
	 * One aligned read of the peer's window through the link; all ones when
	 * the link is down or @offset lies outside. *@generation is read *after*
	 * the word, with a read barrier in between.
	 */
	u64	(*read64)(void *priv, u64 offset, u64 *generation);

	/** @ring: hot. Wake the peer; may be lost, may come twice. */
	void	(*ring)(void *priv);

	/**
	 * @send: may sleep, bounded by 100 ms. Returns 0; -EMSGSIZE; -EAGAIN when
	 * the queue is full; -ENOTCONN.
	 */
	int	(*send)(void *priv, const void *message, u32 len);
};

/**
 * yoke_interconnect_register - offer a kind of link
 * @ic:	copied, and names the registration until it is withdrawn
 *
 * Links of this kind that wait for a device are tried again.
 *
 * Context: may sleep. Return: 0; -EINVAL: wrong abi or size, missing calls or no
 * kind; -EEXIST: the kind is there already; -ENOSPC: too many kinds (8).
 */
int yoke_interconnect_register(const struct yoke_interconnect *ic);

/**
 * yoke_interconnect_unregister - withdraw a kind
 *
 * Context: may sleep. No link of this kind has a device by then: yoke holds a
 * reference on @ic->owner for each, so a driver can be unloaded only without.
 */
void yoke_interconnect_unregister(const struct yoke_interconnect *ic);

/**
 * yoke_interconnect_device - a device has come
 * @kind:	of the interconnect
 * @device:	what create() knows it by
 *
 * A link that waits for it takes it. Nothing happens if there is none.
 *
 * Context: may sleep; calls nothing of the driver itself.
 */
void yoke_interconnect_device(const char *kind, const char *device);

/**
 * yoke_link_gone - the device behind the link is being taken away
 *
 * When it returns, no hot call is under way and none will come, and yoke no
 * longer looks at the inbound window, even if start() has not returned yet.
 * stop() and destroy() follow sooner or later and find nothing to stop. Counts
 * as a down.
 *
 * Context: may sleep; calls nothing of the driver.
 */
void yoke_link_gone(struct yoke_link *link);

/** yoke_link_changed - the link came up or went down. Any context but NMI. */
void yoke_link_changed(struct yoke_link *link);

/** yoke_link_prepare - have prepare() called soon. Any context but NMI. */
void yoke_link_prepare(struct yoke_link *link);

/** yoke_link_doorbell - the peer rang. Any context but NMI. */
void yoke_link_doorbell(struct yoke_link *link);

/** yoke_link_message - a message arrived; copied before return. May not sleep. */
void yoke_link_message(struct yoke_link *link, const void *message, u32 len);

#endif
