// SPDX-License-Identifier: GPL-2.0
//! The checkers: what must hold, told apart from the code that must hold it.

pub mod durable;
pub mod history;
pub mod owner;
pub mod register;
pub mod violation;

pub use violation::{Kind, Violation};
