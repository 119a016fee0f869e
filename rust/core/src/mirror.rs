// SPDX-License-Identifier: GPL-2.0
//! Mirroring: the log, the slots in the partner's regions, the regions themselves (PROTOCOL P2, P4 to P6).

pub mod header;
pub mod message;
pub mod posters;
pub mod presence;
pub mod proof;
pub mod standing;
