// SPDX-License-Identifier: GPL-2.0

//! The directory `disks`: mkdir NAME, write `kind`, `device` or `blocks`, then `enable`.

use super::{
    pass::{Pass, UNIT_BLOCKS},
    ram::Ram,
};
use kernel::{
    new_mutex,
    prelude::*,
    str::CString,
    sync::{atomic::*, Arc, Mutex},
};
use yoke_sys::{
    attr::{Attr, Input, Text},
    class::{Class, ClassDevice, ClassItem},
    configfs::{Directory, Item, ItemPin},
    disk::{Disk, Params},
    thread::Thread,
    trace, Env,
};

pub(crate) struct Disks {
    class: Arc<Class>,
    made: Atomic<u64>,
}

impl Disks {
    pub(crate) fn new(class: Arc<Class>) -> Self {
        Self {
            class,
            made: Atomic::new(0),
        }
    }

    /// How many directories were made since the module was loaded.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }
}

impl Directory for Disks {
    type Item = Entry;

    fn make(this: &Arc<Self>, name: &CStr) -> Result<Arc<Entry>> {
        if name.to_bytes().len() > 20 {
            return Err(ENAMETOOLONG);
        }
        this.made.add(1, Relaxed);
        let name = CString::try_from(name)?;
        let class = this.class.clone();
        Arc::pin_init(
            try_pin_init!(Entry {
                name,
                class,
                state <- new_mutex!(State {
                    running: None,
                    kind: Kind::Ram,
                    blocks: 1024,
                    device: None,
                    pinned: true,
                }),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn removed(_this: &Arc<Self>, item: &Arc<Entry>) {
        let running = item.state.lock().running.take();
        drop(running);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ram,
    Queue,
    Pass,
    Copy,
}

/// One disk to be. Lock: `state`, held while it is made or taken away.
#[pin_data]
pub(crate) struct Entry {
    name: CString,
    class: Arc<Class>,
    #[pin]
    state: Mutex<State>,
}

struct State {
    running: Option<Running>,
    kind: Kind,
    blocks: u32,
    device: Option<CString>,
    /// Whether an enabled entry refuses rmdir.
    pinned: bool,
}

/// Fields are dropped in this order.
struct Running {
    disk: AnyDisk,
    _thread: Option<Thread>,
    shown: ClassDevice<Shown>,
    _pin: Option<ItemPin>,
}

enum AnyDisk {
    Ram(Disk<Ram>),
    Pass(Disk<Pass>),
}

impl AnyDisk {
    fn openers(&self) -> u32 {
        match self {
            Self::Ram(disk) => disk.openers(),
            Self::Pass(disk) => disk.openers(),
        }
    }

    fn uevent(&self, env: Env<'_>) -> Result {
        match self {
            Self::Ram(disk) => disk.uevent(env),
            Self::Pass(disk) => disk.uevent(env),
        }
    }
}

/// What the class shows.
struct Shown {
    note: Atomic<u64>,
}

impl ClassItem for Shown {
    const ATTRS: &'static [Attr<Self>] = &[Attr::rw(
        c"note",
        |shown, text| text.put(format_args!("{}\n", shown.note.load(Relaxed))),
        |shown, input| {
            shown.note.store(input.number()?, Relaxed);
            Ok(())
        },
    )];
}

impl Entry {
    fn idle(&self, change: impl FnOnce(&mut State) -> Result) -> Result {
        let mut state = self.state.lock();
        if state.running.is_some() {
            return Err(EBUSY);
        }
        change(&mut state)
    }

    fn set_kind(&self, input: &Input<'_>) -> Result {
        let kind = match input.text()? {
            "ram" => Kind::Ram,
            "queue" => Kind::Queue,
            "pass" => Kind::Pass,
            "copy" => Kind::Copy,
            _ => return Err(EINVAL),
        };
        self.idle(|state| {
            state.kind = kind;
            Ok(())
        })
    }

    fn set_device(&self, input: &Input<'_>) -> Result {
        let path = CString::try_from_fmt(fmt!("{}", input.text()?))?;
        self.idle(|state| {
            state.device = Some(path);
            Ok(())
        })
    }

    fn start(&self, state: &State, pin: Option<ItemPin>) -> Result<Running> {
        let (disk, thread) = match state.kind {
            Kind::Ram | Kind::Queue => {
                let ram = Ram::new(state.blocks, state.kind == Kind::Queue)?;
                let params = Params {
                    discard_blocks: 1024,
                    write_zeroes_blocks: 1024,
                    ..Params::new(state.blocks.into())
                };
                let thread = match state.kind {
                    Kind::Queue => {
                        let theirs = ram.clone();
                        Some(Thread::spawn(c"yoke-selftest", move || theirs.run())?)
                    }
                    _ => None,
                };
                (AnyDisk::Ram(Disk::new(&self.name, &params, ram)?), thread)
            }
            Kind::Pass | Kind::Copy => {
                let path = state.device.as_ref().ok_or(EINVAL)?;
                let pass = Pass::open(path, state.kind == Kind::Copy)?;
                let props = *pass.props();
                let params = Params {
                    max_io_blocks: UNIT_BLOCKS.into(),
                    discard_blocks: props.discard_blocks,
                    write_zeroes_blocks: props.write_zeroes_blocks,
                    ..Params::new(props.blocks)
                };
                (AnyDisk::Pass(Disk::new(&self.name, &params, pass)?), None)
            }
        };
        let shown = Arc::new(
            Shown {
                note: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        Ok(Running {
            disk,
            _thread: thread,
            shown: ClassDevice::new(&self.class, &self.name, shown)?,
            _pin: pin,
        })
    }

    fn enable(&self, input: &Input<'_>) -> Result {
        let on = input.flag()?;
        let mut state = self.state.lock();
        if !on {
            if state
                .running
                .as_ref()
                .is_some_and(|running| running.disk.openers() > 0)
            {
                return Err(EBUSY);
            }
            state.running = None;
            trace::state("disk", "on", "off", "asked for");
            return Ok(());
        }
        if state.running.is_some() {
            return Ok(());
        }
        let pin = if state.pinned {
            Some(input.pin()?)
        } else {
            None
        };
        let running = self.start(&state, pin)?;
        let mut env = Env::new();
        env.add(c"YOKE_STATE=on")?;
        running.disk.uevent(env)?;
        let mut env = Env::new();
        env.add(c"YOKE_STATE=on")?;
        running.shown.uevent(env)?;
        state.running = Some(running);
        trace::state("disk", "off", "on", "asked for");
        Ok(())
    }

    fn show_device(&self, text: &mut Text<'_>) -> Result {
        let state = self.state.lock();
        text.bytes(
            state
                .device
                .as_ref()
                .map_or(&[][..], |path| path.to_bytes()),
        )?;
        text.line("")
    }
}

impl Item for Entry {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::rw(
            c"kind",
            |entry, text| {
                let kind = entry.state.lock().kind;
                text.line(match kind {
                    Kind::Ram => "ram",
                    Kind::Queue => "queue",
                    Kind::Pass => "pass",
                    Kind::Copy => "copy",
                })
            },
            Entry::set_kind,
        ),
        Attr::rw(
            c"blocks",
            |entry, text| text.put(format_args!("{}\n", entry.state.lock().blocks)),
            |entry, input| {
                let blocks = u32::try_from(input.number()?).map_err(|_| EINVAL)?;
                entry.idle(|state| {
                    state.blocks = blocks;
                    Ok(())
                })
            },
        ),
        Attr::rw(c"device", Entry::show_device, Entry::set_device),
        Attr::rw(
            c"pinned",
            |entry, text| text.put(format_args!("{}\n", u8::from(entry.state.lock().pinned))),
            |entry, input| {
                let pinned = input.flag()?;
                entry.idle(|state| {
                    state.pinned = pinned;
                    Ok(())
                })
            },
        ),
        Attr::rw(
            c"enable",
            |entry, text| {
                let on = entry.state.lock().running.is_some();
                text.put(format_args!("{}\n", u8::from(on)))
            },
            Entry::enable,
        ),
    ];
}
