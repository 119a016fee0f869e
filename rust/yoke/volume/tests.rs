// SPDX-License-Identifier: GPL-2.0

//! Volumes as members of the mirror.

use super::{
    client::Mirror,
    make::{config, machine, share, Settings},
    probe::{Found, Limits},
    shared::Shared,
};
use crate::link::{Identity as Controller, Outlet};
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{Arc, Mutex},
};
use yoke_core::{
    disk::Identity,
    ids::{Incarnation, NodeId, Uuid},
    mirror::presence::Presence,
    volume::Config,
    wire::message,
};
use yoke_sys::backing::Below;

const MS: u64 = 1_000_000;

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

/// What a volume without a disk is made of.
#[inline(never)]
fn configured(number: u8) -> Result<(Settings, Identity, Config)> {
    let settings = Settings {
        device: CString::try_from(c"none")?,
        home: NodeId::new(0).ok_or(EINVAL)?,
        slots: 64,
        io_life_ns: 200 * MS,
        patience_ns: 1000 * MS,
        link_lease_ns: 50 * MS,
        disk_lease_ns: 1000 * MS,
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
