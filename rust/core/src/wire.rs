// SPDX-License-Identifier: GPL-2.0
//! What stands in a window: the HELLO of the handshake, the heartbeat, and the entries of the message ring.
//! See docs/protocol-link.md.
//!
//! Each is written body first and then its first word, and is read the other way round, so a reader that sees the
//! word sees the body, unless the writer is already at the next. The checksum covers both, and, in all but the HELLO,
//! the link epoch: nothing of another life of the link is ever taken for one of this life.

pub mod heartbeat;
pub mod hello;
pub mod message;

/// The versions of the link protocol that this yoke can speak: the lowest and the highest.
///
/// Version 2 agrees on times, and knows tombstones: what stands in slots and what the mirror says has changed.
pub const VERSIONS: hello::Versions = hello::Versions { min: 2, max: 2 };

/// The features of the link protocol that this yoke has.
pub const FEATURES: u64 = 0;
