// SPDX-License-Identifier: GPL-2.0
//! The full state tables, as reviewed. A change of a state machine shows here as a change of a table.
#![allow(missing_docs)]

mod support;

use std::fmt::Write as _;

use yoke_core::link::{LinkEvent, LinkState, LinkStep};
use yoke_core::session::{SessionEvent, SessionState, SessionStep};
use yoke_core::volume::cycle::{CycleEvent, Phase};
use yoke_core::volume::leaving::{Leaving, LeavingEvent};
use yoke_core::volume::pass::{PassEvent, PassStage};
use yoke_core::volume::states::{HeldEvent, HeldState, LentEvent, LentState, RoleEvent, Step};
use yoke_core::volume::takeover::{Takeover, TakeoverEvent};
use yoke_core::volume::Role;

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
        inner.unwrap_or(&text).to_owned()
    };
    let widest = states.iter().map(|state| short(state).len()).max();
    let width = widest.unwrap_or(0) + 2;
    let mut text = format!("{:<15}", "");
    for state in states {
        let _ = write!(text, "{:<width$}", short(state));
    }
    for event in events {
        let _ = write!(text, "\n{:<15}", format!("{event:?}"));
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
        "{}\n{}\n{}",
        volume_table(&Takeover::ALL, &TakeoverEvent::ALL, |state, event| state
            .on(event)),
        volume_table(&Phase::ALL, &CycleEvent::ALL, |state, event| state
            .on(event)),
        volume_table(&Leaving::ALL, &LeavingEvent::ALL, |state, event| state
            .on(event)),
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
