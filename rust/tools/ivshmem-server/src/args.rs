// SPDX-License-Identifier: GPL-2.0
//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::layout;

/// Serve one emulated NTB link to QEMU's ivshmem-doorbell devices.
///
/// Each side has its own listening socket, so that a machine that is started
/// again gets the peer id that it had. Give QEMU
/// `-chardev socket,id=l0,path=PATH -device ivshmem-doorbell,chardev=l0,vectors=N`.
///
/// The control socket takes one JSON object a line and answers with one:
/// {"cmd":"status"}, {"cmd":"cut"}, {"cmd":"mend"},
/// {"cmd":"drop-doorbells","count":N|"all"|"none"},
/// {"cmd":"delay-doorbells","ms":N}.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100)]
pub struct Args {
    /// Listening socket of one side; give it once for each side, numbered from 0
    #[arg(long = "side", value_name = "N=PATH", required = true, value_parser = parse_side)]
    pub sides: Vec<Side>,

    /// Control socket
    #[arg(long, value_name = "PATH")]
    pub control: PathBuf,

    /// Size of the shared memory: a power of two, with suffix K, M or G
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = parse_size)]
    pub size: u64,

    /// Interrupt vectors a side; must equal `vectors=` of the QEMU device
    #[arg(long, default_value_t = layout::VECTORS_DEFAULT,
          value_parser = clap::value_parser!(u16).range(2..=2048))]
    pub vectors: u16,

    /// Shortest time that a cut link stays cut
    #[arg(long, value_name = "MS", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub min_down_ms: u32,
}

impl Args {
    /// The shortest time between a cut and a visible mend.
    pub fn min_down(&self) -> Duration {
        Duration::from_millis(u64::from(self.min_down_ms))
    }
}

/// One side of the link: its number, which is its peer id, and its socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Number, 0..64.
    pub number: u16,
    /// Path of the listening socket.
    pub path: PathBuf,
}

fn parse_side(text: &str) -> Result<Side, String> {
    let (number, path) = text
        .split_once('=')
        .ok_or("expected N=PATH, like 0=/run/lab/side0.sock")?;
    let number = number
        .parse::<u16>()
        .map_err(|e| format!("side number {number:?}: {e}"))?;
    if number >= layout::SIDES_MAX {
        return Err(format!(
            "side number {number}: the largest is {}",
            layout::SIDES_MAX - 1
        ));
    }
    if path.is_empty() {
        return Err("the path of the socket is empty".into());
    }
    Ok(Side {
        number,
        path: path.into(),
    })
}

fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let count = digits.parse::<u64>().map_err(|e| e.to_string())?;
    let size = count.checked_mul(1 << shift).ok_or("too large")?;
    if !size.is_power_of_two() {
        return Err(format!(
            "{size} bytes is not a power of two, as a PCI BAR must be"
        ));
    }
    if size > layout::SIZE_MAX {
        return Err(format!(
            "{size} bytes is more than the largest BAR served, {}",
            layout::SIZE_MAX
        ));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_with_suffixes_are_powers_of_two() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("4194304"), Ok(4 << 20));
        for bad in [
            "",
            "M",
            "63M",
            "-1",
            "1T",
            "18446744073709551615G",
            "64G",
            "0",
        ] {
            assert!(parse_size(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_side_needs_a_number_and_a_path() {
        assert_eq!(
            parse_side("1=/a=b"),
            Ok(Side {
                number: 1,
                path: "/a=b".into()
            })
        );
        for bad in ["", "0", "0=", "x=/a", "64=/a", "-1=/a"] {
            assert!(parse_side(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
