// SPDX-License-Identifier: GPL-2.0
//! The real machine of a volume, with storage on the host's heap.

use yoke_core::guards::Guards;
use yoke_core::volume::log::entry::Entry;
use yoke_core::volume::Ticket;
use yoke_core::volume::{Config, Volume};

/// The machine that is under test: nothing of it is written here.
pub type Machine = Volume<Vec<Entry>, Vec<u32>, Vec<Ticket>>;

/// A machine as it is when its volume is opened. `tickets`: how many requests may wait in it.
pub fn open(config: Config, guards: Guards, tickets: usize, now: u64) -> Machine {
    let slots = config.slots as usize;
    let entries = vec![Entry::default(); 2 * slots];
    let buckets = vec![0; (2 * slots).next_power_of_two()];
    let tickets = vec![Ticket::default(); tickets];
    match Volume::new(config, guards, entries, buckets, tickets, now) {
        Ok(machine) => machine,
        Err(why) => panic!("settings of the simulator: {why}"),
    }
}
