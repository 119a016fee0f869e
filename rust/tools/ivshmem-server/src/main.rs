// SPDX-License-Identifier: GPL-2.0
//! yoke-ivshmem-server: one emulated NTB link.
//!
//! Serves one shared memory to QEMU's `ivshmem-doorbell` devices, one listening
//! socket a side, and stands between the sides' doorbells so that it can cut the
//! link, drop doorbells or delay them. This file only wires.
//!
//! The rest is in the library of the same package, where the tests reach it.

use std::process::ExitCode;

use clap::Parser;
use yoke_ivshmem_server::{args::Args, server::Server};

fn main() -> ExitCode {
    let run = || Server::new(&Args::parse())?.run();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yoke-ivshmem-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}
