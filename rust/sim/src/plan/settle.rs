// SPDX-License-Identifier: GPL-2.0
//! Parts that plans have in common: starting, waiting for a healthy pair, and
//! reading everything at the end. What has not happened after its bound is a
//! violation: nothing is refused for ever, and nothing hangs (DESIGN rule 7).

use yoke_core::volume::{Command, Mode, PowerLoss, Reason, Role, Status};

use crate::check::history::Request;
use crate::check::Kind;
use crate::driver::Driver;
use crate::event::{Ask, Event};
use crate::scenario::MS;
use crate::world::{World, CONTROLLERS};

/// How long a healthy appliance may take to be mirrored, in nanoseconds.
pub fn bound_ns(driver: &Driver) -> u64 {
    let s = &driver.world.setting.scenario;
    let terms = s.longest_io_life_ns() + s.longest_link_lease_ns();
    2000 * MS + 10 * (s.disk_lease_ns + terms + s.giveback_ns)
}

/// What a controller says of itself.
pub fn status(world: &World, at: u8) -> Option<Status> {
    let live = world.controllers[at as usize].live.as_ref()?;
    Some(live.machine.status(world.clock(at)))
}

/// Whether a controller would answer now. Costs less than its whole status: it is asked for after every event.
pub fn serves(world: &World, at: u8) -> bool {
    let live = world.controllers[at as usize].live.as_ref();
    live.is_some_and(|l| l.machine.serving(world.clock(at)).is_ok())
}

/// The controller that is a mirrored owner and would answer now.
pub fn mirrored(world: &World) -> Option<u8> {
    (0..CONTROLLERS as u8)
        .find(|at| role(world, *at) == Some(Role::Owner(Mode::Mirrored)) && serves(world, *at))
}

/// What a controller is to the volume. Costs less than its whole status: it is asked for after every event.
pub fn role(world: &World, at: u8) -> Option<Role> {
    let live = world.controllers[at as usize].live.as_ref()?;
    Some(live.machine.role())
}

/// The controller that would answer now.
pub fn serving(world: &World) -> Option<u8> {
    (0..CONTROLLERS as u8)
        .find(|at| matches!(role(world, *at), Some(Role::Owner(_))) && serves(world, *at))
}

/// Whether the pair is healthy, and both say so (DESIGN rule 8).
pub fn healthy(world: &World) -> bool {
    mirrored(world).is_some()
        && (0..CONTROLLERS as u8).all(|at| status(world, at).is_some_and(|s| s.takeover.is_ok()))
}

/// Starts both controllers and waits for a healthy pair.
pub fn boot(driver: &mut Driver) -> bool {
    for at in 0..CONTROLLERS as u8 {
        let delay = driver.rng.delay(1_000, 100 * MS);
        driver.schedule(Event::Start { at }, delay);
    }
    driver.each(|driver| wait_healthy(driver, "after the start"))
}

/// Waits until the pair is healthy. A violation if that takes too long.
pub fn wait_healthy(driver: &mut Driver, when: &str) -> bool {
    wait(driver, when, |_| false)
}

/// The same, after faults that may have cost both memories. If the policy is to refuse then, somebody has to say so, and
/// a person accepts the loss.
pub fn wait_healthy_or_lost(driver: &mut Driver, when: &str) -> bool {
    wait(driver, when, accept_loss)
}

/// `person`: what a person does from time to time. True if that gives the appliance its time anew.
fn wait(driver: &mut Driver, when: &str, person: fn(&mut Driver) -> bool) -> bool {
    let mut until = driver.world.now_ns + bound_ns(driver);
    while driver.world.violation.is_none() && driver.world.now_ns < until {
        let soon = driver.world.now_ns + 200 * MS;
        if driver.run(soon.min(until), |world| healthy(world)) {
            return true;
        }
        for at in 0..CONTROLLERS as u8 {
            driver.restart_if_stopped(at);
            // It was told to close, cannot, and says what it can do instead: the person asks for that.
            if status(&driver.world, at).is_some_and(|s| s.reason == Some(Reason::ShadowHere)) {
                driver.take(Event::Tell {
                    at,
                    command: Command::TakeOver,
                });
            }
        }
        if person(driver) {
            until = driver.world.now_ns + bound_ns(driver);
        }
    }
    if driver.world.violation.is_none() {
        driver.world.trace_machines();
        let ms = bound_ns(driver) / MS;
        let words = format!(
            "stuck: not mirrored {ms} ms {when}; {}",
            all_statuses(&driver.world)
        );
        driver.world.violated(Kind::Stuck, words);
    }
    false
}

/// What both controllers say, for people.
fn all_statuses(world: &World) -> String {
    let words: Vec<String> = (0..CONTROLLERS as u8)
        .map(|at| match status(world, at) {
            Some(s) => format!(
                "controller {at}: {:?}, serving {:?}, takeover {:?}, reason {:?}",
                s.role, s.serving, s.takeover, s.reason
            ),
            None => format!("controller {at} is off"),
        })
        .collect();
    words.join("; ")
}

/// If both memories are lost, the policy is to refuse, and a controller says so: the loss is accepted. The record that
/// names a lost memory may land late, long after both have died.
fn accept_loss(driver: &mut Driver) -> bool {
    let refuses = driver.world.setting.scenario.power_loss == PowerLoss::Refuse;
    if !refuses || !driver.world.shadow_is_lost() {
        return false;
    }
    let Some(at) = (0..CONTROLLERS as u8).find(|at| says_lost(&driver.world, *at)) else {
        return false;
    };
    driver.world.history.power_loss();
    driver.world.stats.lost_both += 1;
    driver.take(Event::Tell {
        at,
        command: Command::ForceFromDisk,
    });
    true
}

/// Whether a controller says that the newest data was in memories that are lost.
fn says_lost(world: &World, at: u8) -> bool {
    status(world, at)
        .is_some_and(|s| s.role == Role::Standby && matches!(s.reason, Some(Reason::ShadowLost(_))))
}

/// Reads every block through a controller that serves. A violation if that is
/// not answered in time, or not right.
pub fn read_all(driver: &mut Driver) -> bool {
    driver.set_clients(false);
    let blocks = driver.world.setting.scenario.blocks;
    let mut block = 0;
    // A move of the volume that was begun before takes as long as the disk does.
    let mut refused_until = driver.world.now_ns + bound_ns(driver);
    while block < blocks {
        let at = driver.path();
        let answered = driver.world.stats.reads;
        driver.take(Event::Submit {
            at,
            ask: Ask::Io(Request::Read { block, count: 1 }),
        });
        let until = driver.world.now_ns + bound_ns(driver);
        let idle = |world: &World| {
            world
                .controllers
                .iter()
                .flat_map(|c| &c.live)
                .all(|l| l.busy() == 0)
        };
        if !driver.run(until, |world| idle(world)) {
            let words = format!("stuck: a read of block {block} is not answered");
            driver.world.trace_machines();
            driver.world.violated(Kind::Stuck, words);
            return false;
        }
        if driver.world.stats.reads > answered {
            block += 1;
            refused_until = driver.world.now_ns + bound_ns(driver);
        } else if driver.world.now_ns > refused_until {
            let words = format!("refused: nobody reads block {block}");
            driver.world.violated(Kind::Refused, words);
            return false;
        } else {
            // One that was told to close before keeps its mirror, and looks healthy, until its log is empty: it may close
            // as late as this.
            for at in 0..CONTROLLERS as u8 {
                driver.restart_if_stopped(at);
            }
            let later = driver.world.now_ns + 20 * MS;
            driver.run(later, |_| false);
        }
    }
    true
}
