/* SPDX-License-Identifier: GPL-2.0 */
/* What bindgen reads for bindings.rs: the NTB API, which the kernel crate lacks, and the interconnect contract. */
#include <linux/ntb.h>
#include <yoke/interconnect.h>
