// SPDX-License-Identifier: GPL-2.0
//! Deterministic simulation of whole appliances on the real core.
#![forbid(unsafe_code)]

pub mod campaign;
pub mod catalogue;
pub mod check;
pub mod clock;
pub mod controller;
pub mod disk;
pub mod driver;
pub mod event;
pub mod explore;
pub mod hunts;
pub mod job;
pub mod link;
pub mod machine;
pub mod memory;
pub mod plan;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod soak;
pub mod stats;
pub mod trace;
pub mod world;
