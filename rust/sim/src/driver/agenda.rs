// SPDX-License-Identifier: GPL-2.0
//! What is to happen, and when. The events stand apart, so that what is moved about is small.

use crate::event::Event;

/// Bits of the number of a place: more events than that are never on an agenda.
const PLACE_BITS: u32 = 20;

/// When: first by time, then in the order in which they were put there. In the low bits its place.
type Due = (u64, u64);

/// Events with their times.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// The next one last. Most of what is put there comes soon, and so finds its place after a few steps.
    dues: Vec<Due>,
    /// What, and of which volume.
    events: Vec<(Event, u8)>,
    free: Vec<u32>,
    order: u64,
}

impl Agenda {
    /// Puts an event of a volume there.
    pub(super) fn put(&mut self, event: Event, volume: u8, at_ns: u64) {
        let event = (event, volume);
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place as usize] = event;
                u64::from(place)
            }
            None => {
                self.events.push(event);
                self.events.len() as u64 - 1
            }
        };
        assert!(place < 1 << PLACE_BITS, "too much on the agenda");
        self.order += 1;
        let due = (at_ns, self.order << PLACE_BITS | place);
        let sooner = self.dues.iter().rev().take_while(|other| **other < due);
        let index = self.dues.len() - sooner.count();
        self.dues.insert(index, due);
    }

    /// The time of the next one; never, if there is none.
    pub(super) fn next_ns(&self) -> u64 {
        self.dues.last().map_or(u64::MAX, |due| due.0)
    }

    /// Takes the next one off, with its time and its volume.
    pub(super) fn pop(&mut self) -> Option<(u64, Event, u8)> {
        let (at_ns, order) = self.dues.pop()?;
        let place = order & ((1 << PLACE_BITS) - 1);
        self.free.push(place as u32);
        let (event, volume) = self.events[place as usize];
        Some((at_ns, event, volume))
    }

    /// Takes off what `keep` does not keep.
    pub(super) fn retain(&mut self, keep: impl Fn(&Event) -> bool) {
        let (events, free) = (&self.events, &mut self.free);
        self.dues.retain(|(_, order)| {
            let place = order & ((1 << PLACE_BITS) - 1);
            let stays = keep(&events[place as usize].0);
            if !stays {
                free.push(place as u32);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_order() {
        let mut agenda = Agenda::default();
        let start = |at| Event::Start { at };
        for (at, at_ns) in [(0, 5), (1, 3), (2, 5), (3, 4)] {
            agenda.put(start(at), at, at_ns);
        }
        assert_eq!(agenda.next_ns(), 3);
        assert_eq!(agenda.pop(), Some((3, start(1), 1)));
        agenda.put(start(4), 4, 5);
        agenda.retain(|event| *event != start(3));
        let rest: Vec<_> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(rest, [(5, start(0), 0), (5, start(2), 2), (5, start(4), 4)]);
        assert_eq!(agenda.next_ns(), u64::MAX);
    }
}
