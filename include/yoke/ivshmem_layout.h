/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Layout of the memory that one emulated NTB link shares (BAR2 of QEMU's
 * ivshmem-doorbell device), and the use of its interrupt vectors.
 *
 * Read by the kernel driver (drivers/ntb_hw_ivshmem) and, constant by constant,
 * by the host's server (rust/tools/ivshmem-server; a test there compares both).
 *
 *   offset 0                 server page     written by the server only
 *   4096 * (1 + side)        control page    one a side, between the drivers
 *   YOKE_IVSHMEM_WINDOW_BASE window, side 0  written by the peer, and by the owner
 *   + YOKE_IVSHMEM_WINDOW_SIZE  window, side 1 ...
 *
 * All words are little-endian and naturally aligned; each is written with one
 * store. What is not named here is reserved: the server leaves it 0, readers
 * ignore it. Nobody but the named writer ever stores into a page.
 *
 * A side is the number that the server was told for the socket a machine
 * connects to (`--side N=PATH`), and is the machine's ivshmem peer id: the
 * IVPosition register reads it. It stays the same when the machine restarts.
 * Sides are numbered 0 .. side count - 1.
 */
#ifndef YOKE_IVSHMEM_LAYOUT_H
#define YOKE_IVSHMEM_LAYOUT_H

#define YOKE_IVSHMEM_PAGE_SIZE		4096

/* ---- server page: offsets in bytes from the start of BAR2 ---- */

/* u64: YOKE_IVSHMEM_MAGIC. Stored last when the server lays the page out. */
#define YOKE_IVSHMEM_MAGIC_OFFSET	0x00
/* u32: YOKE_IVSHMEM_VERSION. A driver refuses a version that it does not know. */
#define YOKE_IVSHMEM_VERSION_OFFSET	0x08
/* u32: YOKE_IVSHMEM_FLAG_* bits. */
#define YOKE_IVSHMEM_FLAGS_OFFSET	0x0c
/*
 * u64: how often the link was cut since the server started. Raised *before*
 * YOKE_IVSHMEM_FLAG_CUT is set, never lowered. Memory that is shared cannot be
 * severed: stores of a cut side still land, as late posts would. So whoever
 * relies on a read through the link (a fence) reads this counter after it: a
 * count that has changed since the link was agreed on says that the link was
 * down in between, however short that was.
 */
#define YOKE_IVSHMEM_DOWN_COUNT_OFFSET	0x10
/*
 * u32: microseconds. The shortest time between the cut flag being set and the
 * same flag being cleared again. Never changes while the server lives.
 */
#define YOKE_IVSHMEM_MIN_DOWN_US_OFFSET	0x18
/* u32: number of sides that the BAR is divided among, 2..64. Never changes. */
#define YOKE_IVSHMEM_SIDE_COUNT_OFFSET	0x1c

#define YOKE_IVSHMEM_MAGIC		0x4d485356454b4f59ULL	/* "YOKEVSHM" in memory */
#define YOKE_IVSHMEM_VERSION		1

/* The cable is pulled: the server drops every doorbell between the sides. */
#define YOKE_IVSHMEM_FLAG_CUT		(1U << 0)

/* ---- control pages ---- */

#define YOKE_IVSHMEM_SIDES_MIN		2
#define YOKE_IVSHMEM_SIDES_MAX		64

#define YOKE_IVSHMEM_CONTROL_OFFSET(side) \
	(YOKE_IVSHMEM_PAGE_SIZE * (1 + (side)))

/*
 * Inside a control page: offsets in bytes from its start. "Owner" is the side
 * that the page belongs to, "peer" the other one. The server never looks here.
 *
 * The link is up when the cut flag is clear, both sides' LSEQ are odd, and each
 * side's ACK names the other's LSEQ and the server's down count of right now.
 * So both sides see it turn at the same store, and whatever took it down (a
 * disable, a reload, a restart, a cut) keeps it down until both have agreed
 * again. docs/emulated-ntb.md tells the whole handshake.
 */

/* u32, owner: link sequence, only ever raised. Odd: the owner enabled its link. */
#define YOKE_IVSHMEM_CTL_LSEQ_OFFSET	0x00
/* u32, owner: how many vectors the owner listens on, 2..17. */
#define YOKE_IVSHMEM_CTL_VECTORS_OFFSET	0x04
/*
 * u64, owner: which link the owner accepts. Low half: the peer's LSEQ; high
 * half: the low half of the server's down count. 0: none (0 is no odd LSEQ).
 */
#define YOKE_IVSHMEM_CTL_ACK_OFFSET	0x08
/* u64, owner: where the peer's outbound window leads, a DMA address of the owner. */
#define YOKE_IVSHMEM_CTL_XLAT_ADDR_OFFSET	0x10
/* u64, owner: bytes of it that are in use; 0: no translation is set. */
#define YOKE_IVSHMEM_CTL_XLAT_SIZE_OFFSET	0x18
/*
 * u32 each: doorbell bits. Whoever rings stores 1, the owner stores 0: two
 * machines never read, modify and write one word.
 */
#define YOKE_IVSHMEM_CTL_DOORBELL_OFFSET	0x40
#define YOKE_IVSHMEM_DOORBELLS		16
/* u32 each, owner and peer: scratchpads. */
#define YOKE_IVSHMEM_CTL_SPAD_OFFSET	0x80
#define YOKE_IVSHMEM_SPADS		32

/* ---- windows ---- */

#define YOKE_IVSHMEM_WINDOW_ALIGN	0x100000UL		/* 1 MiB */

/* The windows start behind the control pages, at the next 1 MiB. */
#define YOKE_IVSHMEM_WINDOW_BASE(sides) \
	((YOKE_IVSHMEM_CONTROL_OFFSET((unsigned long)(sides)) + \
	  YOKE_IVSHMEM_WINDOW_ALIGN - 1) & ~(YOKE_IVSHMEM_WINDOW_ALIGN - 1))

/*
 * Each side's window: an even share of the rest, rounded down to 1 MiB. The BAR
 * must leave at least one window of 1 MiB a side (4 MiB for two sides): the
 * server refuses less, a driver checks it before it subtracts.
 */
#define YOKE_IVSHMEM_WINDOW_SIZE(bar_size, sides) \
	((((bar_size) - YOKE_IVSHMEM_WINDOW_BASE(sides)) / (sides)) & \
	 ~(YOKE_IVSHMEM_WINDOW_ALIGN - 1))

#define YOKE_IVSHMEM_WINDOW_OFFSET(bar_size, sides, side) \
	(YOKE_IVSHMEM_WINDOW_BASE(sides) + \
	 (side) * YOKE_IVSHMEM_WINDOW_SIZE(bar_size, sides))

/* ---- vectors (MSI-X) ---- */

/*
 * Link event: rung by the server on both sides when the link is cut and when it
 * is mended, never dropped or delayed. A side may ring it too (link up or down
 * in its control page); such a ring is treated like any other doorbell.
 * A ring says "look", never what happened: read the words.
 */
#define YOKE_IVSHMEM_VECTOR_LINK	0
/*
 * Doorbell bit N rings vector YOKE_IVSHMEM_VECTOR_DOORBELL + N. Where the other
 * side listens on fewer: + N modulo their number without the link vector.
 */
#define YOKE_IVSHMEM_VECTOR_DOORBELL	1
/* What the lab gives a device; a driver copes with fewer (at least 2). */
#define YOKE_IVSHMEM_VECTORS_DEFAULT	17

#endif /* YOKE_IVSHMEM_LAYOUT_H */
