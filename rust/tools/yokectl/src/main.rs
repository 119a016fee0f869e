// SPDX-License-Identifier: GPL-2.0
//! yokectl, the program.

use std::process::ExitCode;

fn main() -> ExitCode {
    yokectl::main()
}
