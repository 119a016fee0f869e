// SPDX-License-Identifier: GPL-2.0
//! A bounded exhaustive explorer: every order of every step of a model, breadth
//! first, so that the first violation found is a shortest one.

pub mod appliance;
mod fingerprint;
#[cfg(test)]
mod merging;
mod search;
pub mod settle;
mod visited;

pub use fingerprint::{fingerprint, Fingerprint};
pub use search::{search, Bounds, Outcome, Report};

/// Something whose states can be enumerated.
pub trait Model: Sync {
    /// A whole state; states with equal hashes are visited once.
    type State: Clone + std::hash::Hash + Send + Sync;
    /// What can happen in a state.
    type Step: Copy + Send + Sync + std::fmt::Debug;

    /// Where it begins.
    fn start(&self) -> Self::State;
    /// Appends every step that can be taken in `state`.
    fn steps(&self, state: &Self::State, steps: &mut Vec<Self::Step>);
    /// Takes a step.
    ///
    /// # Errors
    /// What a checker found to be wrong in the state that this leads to.
    fn take(&self, state: &mut Self::State, step: Self::Step) -> Result<(), String>;
    /// Whether this state is one of those that the search is there for. They are counted: a search that never comes by
    /// one says nothing.
    fn counts(&self, _state: &Self::State) -> bool {
        false
    }
}
