// SPDX-License-Identifier: GPL-2.0
//! Ownership: what the blocks of all nodes say together, and who may take over (PROTOCOL P1, P3, P7).

pub(crate) mod survey;
pub(crate) mod verdict;
