// SPDX-License-Identifier: GPL-2.0

//! Volumes as members of the mirror.

use super::{
    client::Mirror,
    lanes::{Lane, Posting},
    make::{config, machine, share, Settings},
    poster::Poster,
    probe::{Found, Limits},
    shared::Shared,
};
use crate::link::{tests::both_ends, Client, Hold, Identity as Controller, Outlet, Partner};
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{Arc, Mutex},
};
use yoke_core::{
    disk::Identity,
    ids::{Epoch, Generation, Incarnation, LinkEpoch, NodeId, Uuid},
    link::Contact,
    mirror::{
        header::{Content, SlotHeader},
        presence::Presence,
        proof::{prove, Post, Way},
    },
    terms::Terms,
    volume::{Config, PostTo},
    window::{epoch_word_at, Layout, Place},
    wire::message,
};
use yoke_sys::{backing::Below, pages::Pages, test_kind::TestKind};

const MS: u64 = 1_000_000;
/// So that there is room for two volumes in the window of a [`TestKind`].
const SLOTS: u32 = 4;

/// Notes what the twin is told.
#[pin_data]
struct Twin {
    #[pin]
    heard: Mutex<KVec<Presence>>,
}

impl Twin {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Twin { heard <- new_mutex!(KVec::new()) }),
            GFP_KERNEL,
        )
    }

    fn heard(&self, all: &[Presence]) -> bool {
        **self.heard.lock() == *all
    }
}

impl Outlet for Twin {
    fn send(&self, _port: message::Port, bytes: &[u8]) {
        if let Some((_, presence, _)) = Presence::decode(bytes) {
            let _ = self.heard.lock().push(presence, GFP_KERNEL);
        }
    }
}

/// The twin, and what place in a window is free when it hears that the volume is closed.
#[pin_data]
struct Watching {
    port: Hold,
    #[pin]
    free: Mutex<Option<Place>>,
}

impl Outlet for Watching {
    fn send(&self, _port: message::Port, bytes: &[u8]) {
        if matches!(Presence::decode(bytes), Some((_, Presence::Closed, _))) {
            *self.free.lock() = free_place(&self.port);
        }
    }
}

/// Where the next region would be.
fn free_place(port: &Hold) -> Option<Place> {
    let place = port.carve(SLOTS)?;
    port.give_back(place);
    Some(place)
}

/// What a volume without a disk is made of.
#[inline(never)]
fn configured(number: u8) -> Result<(Settings, Identity, Config)> {
    let settings = Settings {
        device: CString::try_from(c"none")?,
        home: NodeId::new(0).ok_or(EINVAL)?,
        slots: SLOTS,
        io_life_ns: 200 * MS,
        patience_ns: 1000 * MS,
        link_lease_ns: 50 * MS,
        disk_lease_ns: 1000 * MS,
        handover_ns: 1000 * MS,
        start_from_disk: false,
        stateless: false,
    };
    let found = Found {
        identity: Identity {
            appliance: Uuid::from_bytes([1; 16]),
            volume: Uuid::from_bytes([number; 16]),
        },
        data_blocks: 1024,
        limits: Limits {
            discard_blocks: 0,
            write_zeroes_blocks: 0,
            below: Below::default(),
        },
        reserves: false,
        dev: 0,
    };
    let controller = Controller {
        appliance: found.identity.appliance,
        node: settings.home,
        incarnation: Incarnation::new(7).ok_or(EINVAL)?,
    };
    let config = config(&settings, controller, &found);
    Ok((settings, found.identity, config))
}

/// A volume without a disk.
#[inline(never)]
fn volume(number: u8) -> Result<Arc<Shared>> {
    let (settings, identity, config) = configured(number)?;
    let core = machine(c"kunit", settings.slots as usize, config)?;
    share(c"kunit", &settings, identity, core)
}

#[kunit_tests(yoke_volumes)]
mod suite {
    use super::*;

    #[test]
    fn one_that_is_not_opened_after_all_is_no_member_any_more() -> Result {
        let (mirror, twin) = (Mirror::new()?, Twin::new()?);
        let first = volume(2)?;
        let opening = |volume: &Arc<Shared>| -> Result {
            let _membership = mirror.join(volume, &twin)?;
            // What comes after it fails.
            Err(ENOMEM)
        };
        assert_eq!(opening(&first), Err(ENOMEM));
        assert!(twin.heard(&[Presence::Opened, Presence::Closed]));
        assert_eq!(opening(&volume(2)?), Err(ENOMEM));
        Ok(())
    }

    /// Its cache may be turned on while the volume is open.
    #[test]
    fn a_disk_is_flushed_whatever_it_says_when_it_is_opened() -> Result {
        let (_, _, config) = configured(2)?;
        assert!(config.volatile_cache);
        Ok(())
    }

    /// Else it might begin to post there when the place is another volume's.
    #[test]
    fn the_twin_hears_of_the_end_before_the_place_is_free() -> Result {
        let kind = TestKind::register()?;
        let (_ports, a, b) = both_ends(&kind)?;
        let (mirror, first) = (Mirror::new()?, volume(2)?);
        let place = free_place(&a).ok_or(ENOSPC)?;
        let port = a.clone();
        let watching = Arc::pin_init(
            pin_init!(Watching { port, free <- new_mutex!(None) }),
            GFP_KERNEL,
        )?;
        let membership = mirror.join(&first, &watching)?;
        let peer = Partner {
            node: NodeId::new(1).ok_or(EINVAL)?,
            incarnation: Incarnation::new(9).ok_or(EINVAL)?,
            session: 3,
        };
        mirror.session_up(&peer, &*watching);
        let contact = Contact {
            epoch: LinkEpoch::new(5).ok_or(EINVAL)?,
            peer,
            link: b.id(),
            version: 1,
            features: 0,
            window: Layout::new(b.link().window_bytes(), 8).ok_or(EINVAL)?,
            downs: 0,
        };
        mirror.link_up(&a, &contact);
        let here = Presence::Here.encode(&first.identity.volume, Terms::NONE);
        mirror.message(&here, &*watching);
        assert!(free_place(&a) != Some(place));
        drop(membership);
        assert!(*watching.free.lock() != Some(place));
        assert!(free_place(&a) == Some(place));
        mirror.link_down(a.id(), contact.epoch);
        Ok(())
    }

    /// They may be another volume's, and store over what is posted to the grant.
    #[test]
    fn a_grant_counts_when_those_who_were_posting_have_left() -> Result {
        let kind = TestKind::register()?;
        let (_ports, a, b) = both_ends(&kind)?;
        let mut lane = Lane {
            port: a,
            place: None,
            life: LinkEpoch::new(5),
            memory: None,
            peer_window: Layout::new(b.link().window_bytes(), 8).ok_or(EINVAL)?,
            going: false,
            answered: None,
        };
        let poster = Poster::enter(lane.clone());
        assert!(!lane.is_settled(4) && !lane.is_settled(4));
        let later = Poster::enter(lane.clone());
        drop(poster);
        assert!(lane.is_settled(4));
        // Another question is another matter.
        assert!(!lane.is_settled(5));
        drop(later);
        assert!(lane.is_settled(5));
        Ok(())
    }

    /// The link stays up, and the word reads well: that says nothing of what was not stored.
    #[test]
    fn a_post_that_fails_proves_nothing() -> Result {
        const WORD: u64 = 77;
        let kind = TestKind::register()?;
        let (_ports, a, b) = both_ends(&kind)?;
        let window = Layout::new(b.link().window_bytes(), 8).ok_or(EINVAL)?;
        let place = Place {
            epoch_word: 0,
            offset: window.regions_at(),
            slots: 2,
        };
        b.link().store64(epoch_word_at(0).ok_or(EINVAL)?, WORD)?;
        let to = PostTo {
            link: a.id(),
            life: LinkEpoch::new(5).ok_or(EINVAL)?,
            epoch: Epoch::new(WORD).ok_or(EINVAL)?,
            place,
        };
        let lane = Lane {
            port: a,
            place: Some(place),
            life: Some(to.life),
            memory: None,
            peer_window: window,
            going: false,
            answered: None,
        };
        let log = Pages::new(2)?;
        let way = Posting {
            lane: &lane,
            log: &log,
        };
        let header = SlotHeader {
            volume: Uuid::from_bytes([2; 16]),
            generation: Generation::new(1),
            sequence: 1,
            block: 3,
            slot: 1,
            content: Content::Data { crc: 0 },
        };
        // Data, then header; a header alone. With each of these posts failing, and with none.
        for (post, parts) in [(Post::Slot(1, header), 2), (Post::Invalid(0), 1)] {
            let word = |nth: u32| {
                kind.fail_post(nth);
                prove(&way, &to, || way.send(&to, &post)).word
            };
            for nth in 1..=parts {
                assert_eq!(word(nth), u64::MAX);
            }
            assert_eq!(word(0), WORD);
        }
        Ok(())
    }

    #[test]
    fn there_is_one_of_each_at_most_and_others_beside_it() -> Result {
        let (mirror, twin) = (Mirror::new()?, Twin::new()?);
        let (first, other) = (volume(2)?, volume(3)?);
        let membership = mirror.join(&first, &twin)?;
        assert_eq!(mirror.join(&volume(2)?, &twin).err(), Some(EEXIST));
        let beside = mirror.join(&other, &twin)?;
        assert!(twin.heard(&[Presence::Opened, Presence::Opened]));
        drop(membership);
        drop(mirror.join(&volume(2)?, &twin)?);
        drop(beside);
        Ok(())
    }
}
