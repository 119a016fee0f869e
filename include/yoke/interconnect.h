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
 * Life of a link, each call from a sleepable context, never two at once for one
 * link:  create -> start -> (post, read64, ring ...) -> stop -> destroy.
 * Hot calls come only between start and stop, and not after yoke_link_gone().
 *
 * Ordering contract of the outbound window (PROTOCOL P2):
 *  - post() and post64() are posted writes. They need not have arrived when the
 *    call returns, may arrive in any order within one call, and arrive in call
 *    order when a barrier() stands between the calls on the same CPU.
 *  - read64() is answered by the peer's memory through the same path and cannot
 *    pass earlier posts of any CPU that are ordered before it: its answer proves
 *    that they have arrived, provided that the link was up all the time.
 *  - A link that was down for any length stays closed at both ends until the
 *    driver's own handshake has run again. Hardware that does not latch counts
 *    its downs: down_count() must be read *after* read64(); when it differs from
 *    the value read before the posts, they prove nothing. min_down_us names the
 *    shortest time between a down and the following up.
 */
#ifndef _YOKE_INTERCONNECT_H
#define _YOKE_INTERCONNECT_H

#include <linux/types.h>

struct module;
struct yoke_link;	/* yoke's side of a link; opaque to drivers */

/* Raised whenever the meaning of anything below changes. */
#define YOKE_INTERCONNECT_ABI	1

/* Longest interconnect kind and device name, with the closing NUL. */
#define YOKE_KIND_LEN		16
#define YOKE_DEVICE_LEN		64

/* Capabilities (struct yoke_interconnect.caps). */
#define YOKE_IC_WINDOW		(1u << 0)	/* has windows: post, read64 */
#define YOKE_IC_READ_BACK	(1u << 1)	/* read64 is a fence (PROTOCOL P2) */
#define YOKE_IC_ATOMICS		(1u << 2)	/* coherent atomics across the link */
#define YOKE_IC_MESSAGE		(1u << 3)	/* has messages: send */

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
 * All function pointers are mandatory, but send (with YOKE_IC_MESSAGE only).
 * "hot" calls may come from any context, hard irq apart, with irqs on or off,
 * from several CPUs at once; they neither sleep nor wait.
 */
struct yoke_interconnect {
	__u32		abi;		/* YOKE_INTERCONNECT_ABI */
	__u32		caps;		/* YOKE_IC_* */
	__u32		max_message;	/* bytes a send() takes, 0 without messages */
	__u32		reserved;	/* 0 */
	char		kind[YOKE_KIND_LEN];
	struct module	*owner;

	/**
	 * @create: bind to the device that @device names (for ntb: the NTB
	 * device's name in /sys/bus/ntb/devices). Returns 0 and *@priv;
	 * -ENODEV: no such device; -EBUSY: somebody else has it; -EINVAL: not a
	 * name of this kind; -ENOMEM.
	 */
	int	(*create)(struct yoke_link *link, const char *device, void **priv);

	/** @destroy: undo create; the link is stopped. */
	void	(*destroy)(void *priv);

	/**
	 * @start: allocate and zero the inbound window, tell the peer where it is
	 * and enable the link. yoke_link_changed() comes when it is up, which may
	 * be much later, or never. Returns 0 and the sizes; -ENOMEM; -ENOSPC when
	 * the hardware's window is too small; -EIO.
	 */
	int	(*start)(void *priv, struct yoke_window *window);

	/**
	 * @stop: disable the link, withdraw the window. When it returns, no
	 * upcall is under way and none will come, and the peer's writes no longer
	 * reach the window's memory.
	 */
	void	(*stop)(void *priv);

	/** @is_up: hot. Whether both ends are enabled and connected right now. */
	bool	(*is_up)(void *priv);

	/** @down_count: hot. How often the link went down; never decreases. */
	u64	(*down_count)(void *priv);

	/** @min_down_us: the shortest down-to-up time, in microseconds. */
	u32	(*min_down_us)(void *priv);

	/**
	 * @post: hot. Copy @len bytes to @offset of the peer's window.
	 * Returns 0; -ERANGE outside of the window (nothing is written);
	 * -ENOTCONN while the link is down (nothing is promised).
	 */
	int	(*post)(void *priv, u64 offset, const void *src, u64 len);

	/** @post64: hot. One aligned little-endian store; errors as post. */
	int	(*post64)(void *priv, u64 offset, u64 value);

	/** @barrier: hot. Posts before it arrive before posts after it. */
	void	(*barrier)(void *priv);

	/**
	 * @read64: hot, but may stall for the completion timeout of the bus.
	 * One aligned read of the peer's window through the link; all ones when
	 * the link is down or @offset lies outside.
	 */
	u64	(*read64)(void *priv, u64 offset);

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
 * @ic:	stays valid until unregistered
 *
 * Context: may sleep. Return: 0; -EINVAL: wrong abi, missing calls or no kind;
 * -EEXIST: the kind is there already; -ENOSPC: too many kinds (8).
 */
int yoke_interconnect_register(const struct yoke_interconnect *ic);

/**
 * yoke_interconnect_unregister - withdraw a kind
 *
 * Context: may sleep. Every link of this kind is gone by then: yoke holds a
 * reference on @ic->owner for each, so a driver can be unloaded only without
 * links.
 */
void yoke_interconnect_unregister(const struct yoke_interconnect *ic);

/**
 * yoke_link_gone - the device behind the link is being taken away
 *
 * When it returns, no hot call is under way and none will come, and yoke no
 * longer looks at the inbound window. stop() and destroy() follow sooner or
 * later and find nothing to stop. Counts as a down.
 *
 * Context: may sleep; calls nothing of the driver.
 */
void yoke_link_gone(struct yoke_link *link);

/** yoke_link_changed - the link came up or went down. Any context but NMI. */
void yoke_link_changed(struct yoke_link *link);

/** yoke_link_doorbell - the peer rang. Any context but NMI. */
void yoke_link_doorbell(struct yoke_link *link);

/** yoke_link_message - a message arrived; copied before return. May not sleep. */
void yoke_link_message(struct yoke_link *link, const void *message, u32 len);

#endif
