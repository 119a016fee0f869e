// SPDX-License-Identifier: GPL-2.0
//! The torture writer: stamped writes, a record of what was acknowledged, and a judge of what is left.
//!
//! [`writer`] writes blocks that say who wrote them ([`stamp`]) and streams every issue and every acknowledgement
//! out ([`record`]). [`verify`] replays that record into a [`history`] and asks it about each block of the volume.
//! docs/torture.md has the formats and the meaning of each verdict.
#![forbid(unsafe_code)]

pub mod fault;
pub mod figures;
pub mod history;
pub mod pattern;
pub mod reader;
pub mod record;
pub mod report;
pub mod stamp;
pub mod verify;
pub mod volume;
pub mod writer;

/// Bytes in a block, the unit of every write, read and verdict.
pub const BLOCK_SIZE: usize = 4096;
