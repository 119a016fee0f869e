// SPDX-License-Identifier: GPL-2.0

//! Ports and managers over links whose two ends are in this kernel.

mod clients;

use super::{
    face::Classes, manager::Manager, ports::Ports, shared::Shared, Hold, Identity, Outlet,
};
use crate::chores::Chores;
use clients::{Keeping, Noting};
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{Arc, SpinLockIrq},
};
use yoke_core::{
    ids::{Incarnation, LinkId, NodeId, Uuid},
    link::Settings,
    wire::message,
};
use yoke_sys::{
    event::{Event, Woken},
    test_kind::TestKind,
    time::{boottime_ns, sleep_us},
};

const KIND: &CStr = c"kunit";
const PORT: message::Port = message::Port(7);
const SECOND: u64 = 1_000_000_000;
/// An emulated machine stands still for moments.
const SETTINGS: Settings = Settings {
    beat_interval_ns: 20_000_000,
    beats_missed: 25,
    ..Settings::DEFAULT
};
/// A client that stands still for longer than the silence that is taken for a death.
const LONG_US: u64 = 2_000_000;

/// Until a condition holds; whether it did in time.
fn until(condition: impl Fn() -> bool) -> bool {
    let end = boottime_ns() + 60 * SECOND;
    while !condition() {
        if boottime_ns() > end {
            return false;
        }
        sleep_us(2_000);
    }
    true
}

fn manager(node: u8, classes: &Classes, chores: &Chores) -> Result<Manager> {
    let identity = Identity {
        appliance: Uuid::from_bytes([7; 16]),
        node: NodeId::new(node).ok_or(EINVAL)?,
        incarnation: Incarnation::new(boottime_ns() + u64::from(node)).ok_or(EINVAL)?,
    };
    Manager::new(identity, classes, chores)
}

fn is_up(shared: &Shared) -> bool {
    shared.look(|inner| LinkId::all().any(|id| inner.session.contact(id).is_some()))
}

fn number(at: u8) -> Result<LinkId> {
    LinkId::new(at).ok_or(EINVAL)
}

/// The table with its two bells.
fn ports() -> Result<(Arc<Ports>, Arc<Event>)> {
    let wake = Arc::pin_init(Event::new(), GFP_KERNEL)?;
    let bell = Arc::pin_init(Event::new(), GFP_KERNEL)?;
    Ok((Ports::new(&wake, &bell)?, bell))
}

/// Ports on both devices of the kind, and what they need.
pub(crate) fn both_ends(_kind: &TestKind) -> Result<(impl Sized, Hold, Hold)> {
    let (ports, bell) = ports()?;
    let (a, b) = (ports.enable(KIND, c"a")?, ports.enable(KIND, c"b")?);
    Ok(((ports, bell), a, b))
}

#[kunit_tests(yoke_links)]
mod suite {
    use super::*;

    #[test]
    fn number_and_device_stay_taken_until_every_user_has_let_go() -> Result {
        let _kind = TestKind::register()?;
        let (ports, bell) = ports()?;
        let first = ports.enable(KIND, c"a")?;
        let user = first.clone();
        first.link().store64(8, 1234)?;
        assert_eq!(first.id(), number(0)?);
        assert_eq!(ports.enable(KIND, c"a").err(), Some(EBUSY));
        drop(first);
        assert!(!ports.disable(number(0)?));
        let other = ports.enable(KIND, c"b")?;
        assert_eq!(other.id(), number(1)?);
        // The same device comes back as it was.
        let again = ports.enable(KIND, c"a")?;
        assert!(again.is_same(&user) && again.id() == user.id());
        assert_eq!(again.link().load64(8)?, 1234);
        drop(again);
        assert!(!ports.disable(number(0)?));
        // Changes of the links have rung, too.
        bell.wait(Some(0));
        assert_eq!(bell.wait(Some(0)), Woken::Deadline);
        drop(user);
        assert_eq!(bell.wait(Some(0)), Woken::Event);
        assert!(ports.disable(number(0)?));
        let fresh = ports.enable(KIND, c"a")?;
        assert_eq!((fresh.id(), fresh.link().load64(8)?), (number(0)?, 0));
        drop((fresh, other));
        assert!(ports.disable(number(0)?) && ports.disable(number(1)?));
        Ok(())
    }

    #[test]
    fn the_last_user_may_let_go_under_a_spinlock() -> Result {
        let _kind = TestKind::register()?;
        let (ports, bell) = ports()?;
        let kept = Some(ports.enable(KIND, c"a")?);
        let kept: Arc<SpinLockIrq<Option<Hold>>> =
            Arc::pin_init(new_spinlock_irq!(kept), GFP_KERNEL)?;
        assert!(!ports.disable(number(0)?));
        {
            let mut kept = kept.lock();
            *kept = None;
        }
        assert_eq!(bell.wait(Some(0)), Woken::Event);
        ports.reap();
        drop(ports.enable(KIND, c"a")?);
        assert!(ports.disable(number(0)?));
        Ok(())
    }

    #[test]
    fn a_device_that_was_taken_away_is_waited_for_under_its_number() -> Result {
        let kind = TestKind::register()?;
        let (ports, _bell) = ports()?;
        let user = ports.enable(KIND, c"a")?;
        assert!(!ports.disable(number(0)?));
        kind.take_away();
        let again = ports.enable(KIND, c"a")?;
        assert!(again.is_same(&user) && again.trouble() == Some(ENODEV));
        drop((user, again));
        assert!(ports.disable(number(0)?));
        Ok(())
    }

    #[test]
    fn clients_hear_once_that_a_window_is_gone_though_its_link_is_disabled() -> Result {
        let kind = TestKind::register()?;
        let (classes, chores) = (
            Classes::named(c"kunit_link", c"kunit_peer")?,
            Chores::new()?,
        );
        let (a, b) = (
            manager(0, &classes, &chores)?,
            manager(1, &classes, &chores)?,
        );
        let volume = Keeping::new()?;
        a.join(volume.clone())?;
        a.add(c"kunit0", KIND, c"a", SETTINGS)?;
        b.add(c"kunit1", KIND, c"b", SETTINGS)?;
        assert!(until(|| volume.memory().is_some()));
        let first = volume.memory();
        assert!(!a.remove(number(0)?));
        assert_eq!(volume.windows_gone.get(), 0);
        kind.take_away();
        assert!(until(|| volume.windows_gone.get() == 1));
        // Another one, whose window nobody has seen.
        kind.bring_back();
        assert!(until(|| volume.memory().is_some()));
        assert_ne!(volume.memory(), first);
        a.add(c"kunit0", KIND, c"a", SETTINGS)?;
        assert!(until(|| is_up(&a.shared)));
        assert_eq!(volume.windows_gone.get(), 1);
        volume.let_go();
        drop((a, b));
        volume.let_go();
        Ok(())
    }

    #[test]
    fn heartbeats_do_not_wait_for_a_client_and_nothing_is_lost() -> Result {
        const MESSAGES: u64 = 1000;
        let _kind = TestKind::register()?;
        let (classes, chores) = (
            Classes::named(c"kunit_link", c"kunit_peer")?,
            Chores::new()?,
        );
        let (a, b) = (
            manager(0, &classes, &chores)?,
            manager(1, &classes, &chores)?,
        );
        let (quick, slow) = (Noting::new(0)?, Noting::new(LONG_US)?);
        a.join(quick.clone())?;
        b.join(slow.clone())?;
        a.add(c"kunit0", KIND, c"a", SETTINGS)?;
        b.add(c"kunit1", KIND, c"b", SETTINGS)?;
        assert!(until(|| is_up(&a.shared) && is_up(&b.shared)));
        // More than fits anywhere: the sender is held back, and no heartbeat is.
        for number in 0..MESSAGES {
            assert!(until(|| a.shared.look(|inner| inner.session.room()) > 0));
            a.send(PORT, &number.to_le_bytes());
        }
        assert!(until(|| slow.messages.get() == MESSAGES));
        assert_eq!((slow.wrong.get(), quick.messages.get()), (0, 0));
        assert_eq!((quick.links_down.get(), slow.links_down.get()), (0, 0));
        drop((a, b));
        assert_eq!((quick.links_down.get(), slow.links_down.get()), (1, 1));
        Ok(())
    }

    #[test]
    fn a_manager_leaves_nothing_however_its_peer_races() -> Result {
        let _kind = TestKind::register()?;
        let (classes, chores) = (
            Classes::named(c"kunit_link", c"kunit_peer")?,
            Chores::new()?,
        );
        let b = manager(1, &classes, &chores)?;
        b.add(c"kunit1", KIND, c"b", SETTINGS)?;
        for round in 0..40u64 {
            let a = manager(0, &classes, &chores)?;
            a.add(c"kunit0", KIND, c"a", SETTINGS)?;
            if round % 4 == 0 {
                assert!(until(|| is_up(&a.shared)));
            } else {
                // In the middle of a handshake, of its telling, or of a session.
                sleep_us(round % 7 * 3_000);
            }
            let shared = a.shared.clone();
            drop(a);
            assert!(Arc::into_unique_or_drop(shared).is_some());
        }
        Ok(())
    }
}
