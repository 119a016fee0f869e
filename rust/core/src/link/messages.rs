// SPDX-License-Identifier: GPL-2.0
//! The messages of a link: into the peer's ring, and out of the own.

use super::{DownReason, Link, LinkFault, LinkState};
use crate::region::Region;
use crate::ring::PushError;
use crate::wire::message::{Header, MESSAGE_MAX};

impl Link {
    /// Sends a heartbeat now, to bring `ack` to the peer, and wakes it if `wake`.
    pub fn acknowledge(&mut self, now: u64, ack: u64, wake: bool, peer: &impl Region) {
        if let Some(live) = &mut self.live {
            live.pulse.hasten(now);
            self.doorbell |= wake;
            self.beat(now, ack, peer);
        }
    }

    /// How many messages can be put into the ring, after a look how far the peer has read.
    pub fn room(&mut self, now: u64, own: &impl Region) -> u64 {
        let Some(live) = self.live.as_mut().filter(|_| self.state == LinkState::Up) else {
            return 0;
        };
        match live.producer.refresh(own) {
            Ok(()) => live.producer.room(),
            Err(fault) => {
                self.fence(now, DownReason::Fault(fault.into()));
                0
            }
        }
    }

    /// Puts a message into the ring. `false` if it was not: the ring is full, or the link not up (any more).
    pub fn push(&mut self, now: u64, header: &Header, message: &[u8], peer: &impl Region) -> bool {
        let Some(live) = self.live.as_mut().filter(|_| self.state == LinkState::Up) else {
            return false;
        };
        match live.producer.push(peer, header, message) {
            Ok(()) => {
                self.doorbell = true;
                true
            }
            Err(PushError::Full | PushError::Length) => false,
            Err(PushError::Window(error)) => {
                self.fence(now, DownReason::Fault(LinkFault::Ring(error.into())));
                false
            }
        }
    }

    /// Takes a message out of the ring: the first bytes of `buffer`, as many as the header says. `None`: there is
    /// none, or the link is not agreed (any more).
    pub fn pop(
        &mut self,
        now: u64,
        own: &impl Region,
        buffer: &mut [u8; MESSAGE_MAX],
    ) -> Option<Header> {
        let agreed = matches!(self.state, LinkState::Proving | LinkState::Up);
        let live = self.live.as_mut().filter(|_| agreed)?;
        match live.pop(own, buffer) {
            Ok(header) => header,
            Err(fault) => {
                self.fence(now, DownReason::Fault(fault.into()));
                None
            }
        }
    }

    /// Tells the peer how far the ring was read. `true` if that was news.
    pub fn tell_consumed(&mut self, now: u64, peer: &impl Region) -> bool {
        let Some(live) = &mut self.live else {
            return false;
        };
        match live.consumer.tell(peer, false) {
            Ok(news) => news,
            Err(fault) => {
                self.fence(now, DownReason::Fault(fault.into()));
                false
            }
        }
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_link))]
mod tests {
    use core::cell::Cell;

    use super::super::{Carrier, LinkConfig, Settings};
    use super::*;
    use crate::ids::{Incarnation, LinkId, NodeId, Uuid};
    use crate::region::CellRegion;
    use crate::region::RegionError;
    use crate::window::{Layout, RING_AT};
    use crate::wire::hello::Peer;
    use crate::wire::message::Port;

    const MS: u64 = 1_000_000;
    const UP: Carrier = Carrier { up: true, downs: 0 };
    const CONTROL_WORDS: usize = 130;
    const RING_WORDS: usize = 64;

    /// A window of which only the parts exist that a link with a ring of two uses: it fits on a kernel's stack.
    struct Pocket<'a> {
        control: CellRegion<'a>,
        ring: CellRegion<'a>,
    }

    impl<'a> Pocket<'a> {
        fn new(words: &'a [Cell<u64>; CONTROL_WORDS + RING_WORDS]) -> Self {
            let (control, ring) = words.split_at(CONTROL_WORDS);
            Self {
                control: CellRegion::new(control),
                ring: CellRegion::new(ring),
            }
        }

        fn part(&self, offset: u64) -> (&CellRegion<'a>, u64) {
            match offset.checked_sub(RING_AT) {
                Some(offset) => (&self.ring, offset),
                None => (&self.control, offset),
            }
        }
    }

    impl Region for Pocket<'_> {
        fn size(&self) -> u64 {
            3 * 4096
        }
        fn load_acquire_u64(&self, offset: u64) -> Result<u64, RegionError> {
            let (part, offset) = self.part(offset);
            part.load_acquire_u64(offset)
        }
        fn store_release_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
            let (part, offset) = self.part(offset);
            part.store_release_u64(offset, value)
        }
        fn copy_in(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
            let (part, offset) = self.part(offset);
            part.copy_in(offset, data)
        }
        fn copy_out(&self, offset: u64, data: &mut [u8]) -> Result<(), RegionError> {
            let (part, offset) = self.part(offset);
            part.copy_out(offset, data)
        }
    }

    fn link(node: u8) -> Option<Link> {
        let config = LinkConfig {
            id: LinkId::new(node)?,
            appliance: Uuid::from_bytes([1; 16]),
            local: Peer {
                node: NodeId::new(node)?,
                incarnation: Incarnation::new(7)?,
                session: 1,
            },
            expect: None,
            window: Layout::new(3 * 4096, 2)?,
            settings: Settings::DEFAULT,
        };
        Link::new(config, u64::from(node) + 10).ok()
    }

    /// Runs `test` with two links that have come up, and their windows.
    fn with_links(test: impl FnOnce(&mut [Link; 2], &[Pocket<'_>; 2])) -> bool {
        let words = [const { [const { Cell::new(0) }; CONTROL_WORDS + RING_WORDS] }; 2];
        let windows = [Pocket::new(&words[0]), Pocket::new(&words[1])];
        let (Some(first), Some(second)) = (link(0), link(1)) else {
            return false;
        };
        let mut links = [first, second];
        for turn in 1..=5 {
            let [first, second] = &mut links;
            first.poll(turn * MS, UP, 0, &windows[0], &windows[1]);
            second.poll(turn * MS, UP, 0, &windows[1], &windows[0]);
        }
        test(&mut links, &windows);
        true
    }

    #[test]
    fn two_ends_agree_on_one_epoch() {
        let mut epochs = [None, None];
        assert!(with_links(|links, _| {
            epochs = [0, 1].map(|end: usize| links[end].up().map(|contact| contact.epoch));
        }));
        assert!(epochs[0].is_some());
        assert_eq!(epochs[0], epochs[1]);
    }

    #[test]
    fn a_message_arrives_and_the_ring_is_bounded() {
        let header = Header {
            seq: 1,
            ack: 0,
            port: Port(4),
            len: 3,
        };
        let mut pushed = [false; 3];
        let mut popped = None;
        let mut buffer = [0; MESSAGE_MAX];
        assert!(with_links(|[first, second], [here, there]| {
            pushed = [(); 3].map(|()| first.push(5 * MS, &header, &[7, 8, 9], there));
            popped = second.pop(6 * MS, there, &mut buffer);
            let _ = (second.tell_consumed(6 * MS, here), first.room(7 * MS, here));
        }));
        assert_eq!(pushed, [true, true, false]);
        assert_eq!(popped, Some(header));
        assert_eq!(buffer[..3], [7, 8, 9]);
    }

    #[test]
    fn a_carrier_that_was_down_ends_the_epoch() {
        let mut states = [LinkState::Up; 2];
        let mut down = None;
        assert!(with_links(|[first, second], [here, there]| {
            first.poll(6 * MS, Carrier { up: true, downs: 1 }, 0, here, there);
            second.poll(6 * MS, UP, 0, there, here);
            states = [first.state(), second.state()];
            down = second.last_down();
        }));
        assert_eq!(states, [LinkState::Greeting; 2]);
        assert_eq!(down, Some(DownReason::PeerReset));
    }
}
