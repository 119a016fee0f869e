// SPDX-License-Identifier: GPL-2.0

//! What the NTB core calls for a started link. Context of all: a spinlock is held, interrupts are off.
//!
//! # Safety
//!
//! Only the NTB core calls these functions, with what `Endpoint::connect` gave it: the endpoint, which takes that back
//! before it ends.

#![allow(clippy::missing_safety_doc)]

use crate::{bindings as raw, endpoint::Endpoint};
use kernel::prelude::*;

pub(crate) static CONTEXT: raw::ntb_ctx_ops = raw::ntb_ctx_ops {
    link_event: Some(link_event),
    db_event: Some(db_event),
    msg_event: Some(msg_event),
};

unsafe extern "C" fn link_event(context: *mut c_void) {
    // SAFETY: the context is the endpoint, which outlives it (Endpoint::connect).
    unsafe { &*context.cast::<Endpoint>() }.link_event();
}

unsafe extern "C" fn db_event(context: *mut c_void, _vector: c_int) {
    // SAFETY: the context is the endpoint, which outlives it (Endpoint::connect); it answers in any context.
    unsafe { &*context.cast::<Endpoint>() }.db_event();
}

unsafe extern "C" fn msg_event(context: *mut c_void) {
    // SAFETY: the context is the endpoint, which outlives it (Endpoint::connect), and puts off what takes time.
    unsafe { &*context.cast::<Endpoint>() }.msg_event();
}
