/* SPDX-License-Identifier: GPL-2.0 */
/* Calls between shim.c and the Rust of this module. */
#ifndef NTB_HW_IVSHMEM_SHIM_H
#define NTB_HW_IVSHMEM_SHIM_H

#include <linux/types.h>

struct device;
struct dma_map_ops;
struct ntb_dev;
struct pci_dev;

/* In C, called by Rust. */
int ntb_hw_ivshmem_set_dma_ops(struct pci_dev *pdev, const struct dma_map_ops *ops);
const struct dma_map_ops *ntb_hw_ivshmem_dma_ops(struct device *dev);
int ntb_hw_ivshmem_settle(void);

/* In Rust, called by C. */
u64 ntb_hw_ivshmem_rust_down_count(struct ntb_dev *ntb);
u32 ntb_hw_ivshmem_rust_min_down_us(struct ntb_dev *ntb);

#endif /* NTB_HW_IVSHMEM_SHIM_H */
