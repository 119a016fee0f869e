// SPDX-License-Identifier: GPL-2.0
//! What runs consist of.

pub mod script;
pub mod settle;
pub mod single;
pub mod storm;
