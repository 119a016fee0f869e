// SPDX-License-Identifier: GPL-2.0
//! The full state tables, as reviewed. A change of a state machine shows here as a change of a table.
#![allow(missing_docs)]

mod support;

use std::fmt::Write as _;

use yoke_core::ids::{Epoch, LinkId};
use yoke_core::link::{LinkEvent, LinkState, LinkStep};
use yoke_core::session::{SessionEvent, SessionState, SessionStep};
use yoke_core::volume::cycle::{CycleEvent, Phase};
use yoke_core::volume::leaving::{Leaving, LeavingEvent};
use yoke_core::volume::pass::{PassEvent, PassStage};
use yoke_core::volume::registration::{Registration, RegistrationEvent};
use yoke_core::volume::stage::{Stage, StageEvent};
use yoke_core::volume::states::{HeldEvent, HeldState, LentEvent, LentState, RoleEvent, Step};
use yoke_core::volume::takeover::{Takeover, TakeoverEvent};
use yoke_core::volume::{Reason, Role};

/// One row an event, one column a state. `.`: changes nothing. `!`: cannot happen.
fn table<S: std::fmt::Debug + Copy, E: std::fmt::Debug + Copy>(
    states: &[S],
    events: &[E],
    step: impl Fn(S, E) -> String,
) -> String {
    let mut text = format!("{:<14}", "");
    for state in states {
        let _ = write!(text, "{:<10}", format!("{state:?}"));
    }
    for event in events {
        let _ = write!(text, "\n{:<14}", format!("{event:?}"));
        for &state in states {
            let _ = write!(text, "{:<10}", step(state, *event));
        }
    }
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[test]
fn link_states() {
    let step = |state: LinkState, event| match state.on(event) {
        LinkStep::To(next) => format!("{next:?}"),
        LinkStep::NoOp => ".".to_owned(),
        LinkStep::Invalid => "!".to_owned(),
    };
    support::check_text(
        "snapshots",
        "link-states.txt",
        &table(&LinkState::ALL, &LinkEvent::ALL, step),
    );
}

#[test]
fn session_states() {
    let step = |state: SessionState, event| match state.on(event) {
        SessionStep::To(next) => format!("{next:?}"),
        SessionStep::NoOp => ".".to_owned(),
        SessionStep::Invalid => "!".to_owned(),
    };
    support::check_text(
        "snapshots",
        "session-states.txt",
        &table(&SessionState::ALL, &SessionEvent::ALL, step),
    );
}

/// As [`table`], for the machines of a volume, with names as short as the columns.
fn volume_table<S: std::fmt::Debug + Copy, E: std::fmt::Debug + Copy>(
    states: &[S],
    events: &[E],
    on: impl Fn(S, E) -> Step<S>,
) -> String {
    let short = |state: &S| {
        let text = format!("{state:?}");
        let inner = text
            .strip_prefix("Owner(")
            .and_then(|t| t.strip_suffix(')'));
        let inner = inner.unwrap_or(&text);
        // Without what they carry.
        inner.split([' ', '(']).next().unwrap_or(inner).to_owned()
    };
    let widest = states.iter().map(|state| short(state).len()).max();
    let width = widest.unwrap_or(0) + 2;
    let mut text = format!("{:<15}", "");
    for state in states {
        let _ = write!(text, "{:<width$}", short(state));
    }
    for event in events {
        let named = format!("{event:?}");
        let named = named.split([' ', '(']).next().unwrap_or(&named);
        let _ = write!(text, "\n{named:<15}");
        for &state in states {
            let cell = match on(state, *event) {
                Step::To(next) => short(&next),
                Step::NoOp => ".".to_owned(),
                Step::Invalid => "!".to_owned(),
            };
            let _ = write!(text, "{cell:<width$}");
        }
    }
    let lines = text.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[test]
fn volume_states() {
    let text = format!(
        "{}\n{}\n{}",
        volume_table(&Role::ALL, &RoleEvent::ALL, |state, event| state.on(event)),
        volume_table(&HeldState::ALL, &HeldEvent::ALL, |state, event| state
            .on(event)),
        volume_table(&LentState::ALL, &LentEvent::ALL, |state, event| state
            .on(event)),
    );
    support::check_text("snapshots", "volume-states.txt", &text);
}

#[test]
fn ownership_states() {
    let text = format!(
        "{}\n{}\n{}\n{}",
        volume_table(&Takeover::ALL, &TakeoverEvent::ALL, |state, event| state
            .on(event)),
        volume_table(&Phase::ALL, &CycleEvent::ALL, |state, event| state
            .on(event)),
        volume_table(&Leaving::ALL, &LeavingEvent::ALL, |state, event| state
            .on(event)),
        volume_table(
            &Registration::ALL,
            &RegistrationEvent::ALL,
            |state, event| state.on(event)
        ),
    );
    support::check_text("snapshots", "ownership-states.txt", &text);
}

#[test]
fn pass_states() {
    let text = volume_table(&PassStage::ALL, &PassEvent::ALL, |state, event| {
        state.on(event)
    });
    support::check_text("snapshots", "pass-states.txt", &text);
}

#[test]
fn ticket_stages() {
    let (to, bound, number, reason) = (None, 1, 1, Reason::TooLong);
    let states = [
        Stage::Free,
        Stage::Filling { to },
        Stage::Waiting,
        Stage::Draining { bound },
        Stage::Flushing { number },
        Stage::Passing,
        Stage::Answer,
        Stage::Orphan { to },
        Stage::Doomed(reason),
    ];
    let events = [
        StageEvent::Write { to },
        StageEvent::Flush { bound },
        StageEvent::Pass,
        StageEvent::HandedBack,
        StageEvent::Again { to },
        StageEvent::Drained { number },
        StageEvent::Later { number },
        StageEvent::Anew { bound },
        StageEvent::Done,
        StageEvent::Failed(reason),
        StageEvent::Ended(reason),
        StageEvent::Released,
    ];
    let text = volume_table(&states, &events, |state, event| state.on(event));
    support::check_text("snapshots", "ticket-stages.txt", &text);
}

/// What comes with an event is what the state carries then; what a write posts to is not forgotten when it is orphaned.
#[test]
fn ticket_stages_carry_what_their_events_brought() {
    let [first, second] = [1, 2].map(|epoch| {
        let (link, epoch) = (LinkId::new(0)?, Epoch::new(epoch)?);
        Some((link, epoch))
    });
    let (before, after) = (Reason::TooLong, Reason::Deposed);
    let cases = [
        (
            Stage::Free,
            StageEvent::Write { to: first },
            Stage::Filling { to: first },
        ),
        (
            Stage::Filling { to: first },
            StageEvent::Again { to: second },
            Stage::Filling { to: second },
        ),
        (
            Stage::Filling { to: first },
            StageEvent::Ended(after),
            Stage::Orphan { to: first },
        ),
        (
            Stage::Free,
            StageEvent::Flush { bound: 3 },
            Stage::Draining { bound: 3 },
        ),
        (
            Stage::Draining { bound: 3 },
            StageEvent::Drained { number: 4 },
            Stage::Flushing { number: 4 },
        ),
        (
            Stage::Flushing { number: 4 },
            StageEvent::Later { number: 5 },
            Stage::Flushing { number: 5 },
        ),
        (
            Stage::Flushing { number: 4 },
            StageEvent::Anew { bound: 6 },
            Stage::Draining { bound: 6 },
        ),
        (
            Stage::Passing,
            StageEvent::Failed(before),
            Stage::Doomed(before),
        ),
        (
            Stage::Waiting,
            StageEvent::Ended(after),
            Stage::Doomed(after),
        ),
    ];
    for (state, event, next) in cases {
        assert_eq!(state.on(event), Step::To(next), "{state:?} {event:?}");
    }
    let doomed = Stage::Doomed(before);
    assert_eq!(doomed.on(StageEvent::Ended(after)), Step::NoOp);
}
