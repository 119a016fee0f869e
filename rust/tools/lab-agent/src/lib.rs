// SPDX-License-Identifier: GPL-2.0
//! The part of the agent that reads what comes over the channel: for the program and for the fuzz targets.
#![forbid(unsafe_code)]

pub mod frame;
