/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a client of the NTB API learns that a link was down in between.
 *
 * The NTB API says whether a link is up now. A fence (PROTOCOL P2) must also
 * know that it was up all the time from a post to the read that answers for it,
 * and on hardware that does not close a link that was down for a moment, only a
 * counter tells. ntb_hw_ivshmem exports these two calls. Other NTB drivers do
 * not: a client takes them with symbol_get() and goes without where there are
 * none, or where the device answers 0.
 *
 * Use:  agree on the link (handshake) and remember the count;
 *       post ...; read through the link; read the count: another one than
 *       remembered means that the link was down and that nothing is proved.
 */
#ifndef YOKE_NTB_DOWN_COUNT_H
#define YOKE_NTB_DOWN_COUNT_H

#include <linux/types.h>

struct ntb_dev;

/**
 * ntb_hw_ivshmem_down_count - a number that changes with every "down"
 * @ntb:	any registered NTB device, held by the caller as its client
 *
 * The value is raised whenever either side disables its link (which includes a
 * driver that is loaded again and a machine that is started again) and whenever
 * the server cuts the link. Two equal answers while the link was up at both
 * times say: it was up in between. Counts come without a common start and rise
 * by more than one; compare them for equality only. A full memory barrier
 * stands before the reads, so that loads of the caller come first.
 *
 * Context: any. No locks, a few loads.
 * Return: the count; 0 when @ntb is no device of ntb_hw_ivshmem.
 */
u64 ntb_hw_ivshmem_down_count(struct ntb_dev *ntb);

/**
 * ntb_hw_ivshmem_min_down_us - the shortest time between a "down" and the next "up"
 * @ntb:	as above
 *
 * Context: any.
 * Return: microseconds (100000: each side waits that long before it agrees
 * again); 0 when @ntb is no device of ntb_hw_ivshmem.
 */
u32 ntb_hw_ivshmem_min_down_us(struct ntb_dev *ntb);

#endif /* YOKE_NTB_DOWN_COUNT_H */
