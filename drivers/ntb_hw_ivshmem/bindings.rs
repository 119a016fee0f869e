// SPDX-License-Identifier: GPL-2.0

//! Raw bindings of the NTB API, of `dma_map_ops` and of the layout header (see Kbuild).

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    unreachable_pub,
    unused_imports,
    improper_ctypes,
    unsafe_op_in_unsafe_fn
)]

include!(env!("NTB_HW_IVSHMEM_BINDINGS"));
