// SPDX-License-Identifier: GPL-2.0
//! What is to happen, and when.

use crate::event::Event;

/// An event of a volume, and its time.
#[derive(Clone, Copy, Debug)]
struct Due {
    at_ns: u64,
    event: Event,
    volume: u8,
}

/// Events with their times.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// The next one last; of the same time, the one that was put there first. Most of what is put there comes soon, and
    /// so finds its place after a few steps.
    dues: Vec<Due>,
}

impl Agenda {
    /// Puts an event of a volume there.
    pub(super) fn put(&mut self, event: Event, volume: u8, at_ns: u64) {
        let later = self.dues.iter().rposition(|other| other.at_ns > at_ns);
        let due = Due {
            at_ns,
            event,
            volume,
        };
        self.dues.insert(later.map_or(0, |index| index + 1), due);
    }

    /// The time of the next one; never, if there is none.
    pub(super) fn next_ns(&self) -> u64 {
        self.dues.last().map_or(u64::MAX, |due| due.at_ns)
    }

    /// Takes the next one off, with its time and its volume.
    pub(super) fn pop(&mut self) -> Option<(u64, Event, u8)> {
        let due = self.dues.pop()?;
        Some((due.at_ns, due.event, due.volume))
    }

    /// Takes off what `keep` does not keep.
    pub(super) fn retain(&mut self, keep: impl Fn(&Event) -> bool) {
        self.dues.retain(|due| keep(&due.event));
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
