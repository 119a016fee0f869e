/* SPDX-License-Identifier: GPL-2.0 */
/* What bindgen reads for bindings.rs: the types that the kernel crate lacks. */
#include <linux/dma-map-ops.h>
#include <linux/ntb.h>
#include <yoke/ivshmem_layout.h>
