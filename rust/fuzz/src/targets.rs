// SPDX-License-Identifier: GPL-2.0
//! The targets, by name.

mod disk;
mod mirror;
mod modules;
mod session;
mod tools;
mod wire;

/// A parser and what must hold of it.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Panics when a property does not hold.
    pub run: fn(&[u8]),
    /// Inputs that are in order, to begin with: each is in the corpus as `seed-N`.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many mutations a test tries.
    pub count: u32,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target(
        "superblock",
        disk::superblock,
        disk::superblock_seeds,
        20_000,
    ),
    target(
        "node-block",
        disk::node_block,
        disk::node_block_seeds,
        20_000,
    ),
    target("probe", disk::probe, disk::probe_seeds, 5_000),
    target("slot-header", mirror::header, mirror::header_seeds, 100_000),
    target(
        "mirror-message",
        mirror::message,
        mirror::message_seeds,
        100_000,
    ),
    target(
        "presence",
        mirror::presence,
        mirror::presence_seeds,
        100_000,
    ),
    target("hello", wire::hello, wire::hello_seeds, 100_000),
    target("heartbeat", wire::heartbeat, wire::heartbeat_seeds, 100_000),
    target("ring", wire::ring, wire::ring_seeds, 50_000),
    target("session", session::session, session::seeds, 20_000),
    target(
        "lab-agent",
        tools::lab_agent,
        tools::lab_agent_seeds,
        50_000,
    ),
    target(
        "ivshmem-control",
        tools::ivshmem_control,
        tools::ivshmem_control_seeds,
        50_000,
    ),
    target(
        "torture-record",
        tools::torture_record,
        tools::torture_record_seeds,
        50_000,
    ),
    target(
        "torture-stamp",
        tools::torture_stamp,
        tools::torture_stamp_seeds,
        20_000,
    ),
    target("uevent", tools::uevent, tools::uevent_seeds, 100_000),
    target(
        "attributes",
        tools::attributes,
        tools::attributes_seeds,
        200,
    ),
    target(
        "ntb-letter",
        modules::ntb_letter,
        modules::ntb_letter_seeds,
        100_000,
    ),
    target(
        "ivshmem-link",
        modules::ivshmem_link,
        modules::ivshmem_link_seeds,
        100_000,
    ),
    target(
        "attr-input",
        modules::attr_input,
        modules::attr_input_seeds,
        100_000,
    ),
];

const fn target(
    name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
    count: u32,
) -> Target {
    Target {
        name,
        run,
        seeds,
        count,
    }
}

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The first `N` bytes, zeroes where there are fewer.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut whole = [0; N];
    for (place, byte) in whole.iter_mut().zip(bytes) {
        *place = *byte;
    }
    whole
}

/// Without the zeroes at its end, which [`array()`] puts back.
fn short(bytes: &[u8]) -> Vec<u8> {
    let used = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at + 1);
    bytes.get(..used).unwrap_or_default().to_vec()
}
