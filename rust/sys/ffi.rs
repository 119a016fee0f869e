// SPDX-License-Identifier: GPL-2.0
//! The prototypes of `helpers.h`, by hand. Change both together.

// Structs of the kernel stand behind pointers only; some hold empty structs, which the lint dislikes.
#![allow(improper_ctypes)]

use kernel::{bindings, ffi::c_char, ffi::c_int, ffi::c_uint, ffi::c_void};

pub(crate) const OP_READ: u32 = 0;
pub(crate) const OP_WRITE: u32 = 1;
pub(crate) const OP_FLUSH: u32 = 2;
pub(crate) const OP_DISCARD: u32 = 3;
pub(crate) const OP_WRITE_ZEROES: u32 = 4;

pub(crate) const F_PREFLUSH: u32 = 1 << 0;
pub(crate) const F_FUA: u32 = 1 << 1;
pub(crate) const F_SYNC: u32 = 1 << 2;
pub(crate) const F_META: u32 = 1 << 3;
pub(crate) const F_RAHEAD: u32 = 1 << 4;
pub(crate) const F_NOWAIT: u32 = 1 << 5;
pub(crate) const F_NOUNMAP: u32 = 1 << 6;

pub(crate) const L_WRITE_CACHE: u32 = 1 << 0;
pub(crate) const L_FUA: u32 = 1 << 1;
pub(crate) const L_PARTITIONS: u32 = 1 << 2;
pub(crate) const L_STABLE_WRITES: u32 = 1 << 3;

pub(crate) const B_WRITE_CACHE: u32 = 1 << 0;
pub(crate) const B_FUA: u32 = 1 << 1;
pub(crate) const B_READ_ONLY: u32 = 1 << 2;
pub(crate) const B_ROTATIONAL: u32 = 1 << 3;
pub(crate) const B_STABLE_WRITES: u32 = 1 << 4;
pub(crate) const B_ZONED: u32 = 1 << 5;

pub(crate) const PR_CONFLICT: c_int = 0x18;
pub(crate) const PR_PATH_FAILED: c_int = 0x10000;
pub(crate) const PR_PATH_RETRY: c_int = 0xe0000;
pub(crate) const PR_PATH_FAST_FAILED: c_int = 0xf0000;

pub(crate) const PR_WE: u32 = 1;
pub(crate) const PR_EA: u32 = 2;
pub(crate) const PR_WE_REG_ONLY: u32 = 3;
pub(crate) const PR_EA_REG_ONLY: u32 = 4;
pub(crate) const PR_WE_ALL_REGS: u32 = 5;
pub(crate) const PR_EA_ALL_REGS: u32 = 6;

pub(crate) const T_DM: u32 = 1;
pub(crate) const T_NVME: u32 = 2;
pub(crate) const T_NVME_MULTIPATH: u32 = 3;
pub(crate) const T_SCSI: u32 = 4;

pub(crate) const VENDOR_LEN: usize = 9;
pub(crate) const MODEL_LEN: usize = 41;
pub(crate) const REV_LEN: usize = 5;

#[cfg(yoke_kunit)]
pub(crate) const W_ROTATIONAL: u32 = 1 << 1;

/// `struct yoke_sys_limits`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_io_sectors: u32,
    pub(crate) discard_sectors: u32,
    pub(crate) write_zeroes_sectors: u32,
    pub(crate) flags: u32,
    pub(crate) below: *const Below,
}

/// `struct yoke_sys_below`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Below {
    pub(crate) physical_block_size: u32,
    pub(crate) alignment_offset: u32,
    pub(crate) io_min: u32,
    pub(crate) io_opt: u32,
    pub(crate) dma_alignment: u32,
    pub(crate) discard_granularity: u32,
    pub(crate) discard_alignment: u32,
    pub(crate) flags: u32,
}

/// `struct yoke_sys_bdev_props`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct BdevProps {
    pub(crate) sectors: u64,
    pub(crate) logical_block_size: u32,
    pub(crate) max_io_sectors: u32,
    pub(crate) max_segments: u32,
    pub(crate) discard_sectors: u32,
    pub(crate) write_zeroes_sectors: u32,
    pub(crate) flags: u32,
}

/// `struct yoke_sys_group`, opaque.
#[repr(C)]
pub(crate) struct Group {
    _opaque: [u8; 0],
}

/// `struct yoke_sys_attr_ops`.
#[repr(C)]
pub(crate) struct AttrOps {
    pub(crate) on_disk: bool,
    pub(crate) show: unsafe extern "C" fn(*mut c_void, *const c_void, *mut c_char) -> isize,
    pub(crate) store:
        unsafe extern "C" fn(*mut c_void, *const c_void, *const c_char, usize) -> isize,
}

/// `struct yoke_link`, opaque.
#[repr(C)]
pub(crate) struct Link {
    _opaque: [u8; 0],
}

/// `struct yoke_sys_panic_hook`, opaque.
#[repr(C)]
pub(crate) struct PanicHook {
    _opaque: [u8; 0],
}

/// `struct yoke_sys_link_ops`.
#[repr(C)]
pub(crate) struct LinkOps {
    pub(crate) changed: unsafe extern "C" fn(*mut c_void),
    pub(crate) doorbell: unsafe extern "C" fn(*mut c_void),
    pub(crate) message: unsafe extern "C" fn(*mut c_void, *const c_void, u32),
}

extern "C" {
    pub(crate) fn yoke_sys_bio_op(bio: *const bindings::bio) -> u32;
    pub(crate) fn yoke_sys_bio_flags(bio: *const bindings::bio) -> u32;
    pub(crate) fn yoke_sys_bio_begin(bio: *mut bindings::bio) -> *mut bindings::bio;
    pub(crate) fn yoke_sys_bio_end(bio: *mut bindings::bio, status: u8);
    pub(crate) fn yoke_sys_bio_age_ns(bio: *const bindings::bio) -> u64;
    pub(crate) fn yoke_sys_bio_aim_range(
        bio: *mut bindings::bio,
        op: u32,
        flags: u32,
        sector: u64,
        bytes: u32,
    );
    pub(crate) fn yoke_sys_bio_copy(
        bio: *mut bindings::bio,
        iter: *mut bindings::bvec_iter,
        buf: *mut c_void,
        len: u32,
        to_bio: bool,
    ) -> u32;
    pub(crate) fn yoke_sys_bio_zero(
        bio: *mut bindings::bio,
        iter: *mut bindings::bvec_iter,
        len: u32,
    ) -> u32;
    pub(crate) fn yoke_sys_bio_disk_data(bio: *const bindings::bio) -> *mut c_void;
    pub(crate) fn yoke_sys_bio_is_cached(bio: *const bindings::bio) -> bool;
    pub(crate) fn yoke_sys_bio_prepare(
        bio: *mut bindings::bio,
        bdev: *mut bindings::block_device,
        vecs: *mut c_void,
        max_vecs: u32,
    );
    pub(crate) fn yoke_sys_bio_aim(bio: *mut bindings::bio, op: u32, flags: u32, sector: u64);
    pub(crate) fn yoke_sys_bio_add_block(bio: *mut bindings::bio, block: *mut c_void) -> bool;
    pub(crate) fn yoke_sys_bio_set_flags(bio: *mut bindings::bio, set: u32, clear: u32);
    pub(crate) fn yoke_sys_bio_clone(
        bdev: *mut bindings::block_device,
        src: *mut bindings::bio,
        bioset: *mut c_void,
    ) -> *mut bindings::bio;
    pub(crate) fn yoke_sys_bio_set_nowait(bio: *mut bindings::bio) -> bool;
    pub(crate) fn yoke_sys_bio_would_block(bio: *const bindings::bio) -> bool;
    pub(crate) fn yoke_sys_in_submit() -> bool;

    pub(crate) fn yoke_sys_disk_alloc(limits: *const Limits) -> *mut bindings::gendisk;
    pub(crate) fn yoke_sys_disk_openers(disk: *mut bindings::gendisk) -> u32;
    pub(crate) fn yoke_sys_disk_data(disk: *mut bindings::gendisk) -> *mut c_void;
    pub(crate) fn yoke_sys_disk_set_limits(
        disk: *mut bindings::gendisk,
        limits: *const Limits,
    ) -> c_int;
    pub(crate) fn yoke_sys_disk_uevent(
        disk: *mut bindings::gendisk,
        env: *mut *mut c_char,
    ) -> c_int;
    pub(crate) fn yoke_sys_disk_dev(disk: *mut bindings::gendisk) -> u64;
    pub(crate) fn yoke_sys_current(comm: *mut u8, pid: *mut i32);
    pub(crate) fn yoke_sys_disk_kill(disk: *mut bindings::gendisk);
    pub(crate) fn yoke_sys_disk_remove(disk: *mut bindings::gendisk);
    pub(crate) fn yoke_sys_disk_changed(disk: *mut bindings::gendisk);
    pub(crate) fn yoke_sys_disk_drop_cache(disk: *mut bindings::gendisk, at: *mut u64) -> bool;
    pub(crate) fn yoke_sys_disk_forget(disk: *mut bindings::gendisk) -> bool;
    pub(crate) fn yoke_sys_disk_is_mounted(disk: *mut bindings::gendisk) -> bool;
    pub(crate) fn yoke_sys_disk_lock_opens(disk: *mut bindings::gendisk);
    pub(crate) fn yoke_sys_disk_unlock_opens(disk: *mut bindings::gendisk);
    pub(crate) fn yoke_sys_bdev_below(
        bdev: *mut bindings::block_device,
        start: u64,
        below: *mut Below,
    );
    pub(crate) fn yoke_sys_bdev_props(bdev: *mut bindings::block_device, props: *mut BdevProps);

    pub(crate) fn yoke_sys_pr_usable(bdev: *mut bindings::block_device) -> bool;
    pub(crate) fn yoke_sys_pr_register(
        bdev: *mut bindings::block_device,
        old: u64,
        new: u64,
        ignore_old: bool,
    ) -> c_int;
    pub(crate) fn yoke_sys_pr_reserve(
        bdev: *mut bindings::block_device,
        key: u64,
        kind: u32,
    ) -> c_int;
    pub(crate) fn yoke_sys_pr_release(
        bdev: *mut bindings::block_device,
        key: u64,
        kind: u32,
    ) -> c_int;
    pub(crate) fn yoke_sys_pr_preempt(
        bdev: *mut bindings::block_device,
        own: u64,
        victim: u64,
        kind: u32,
        abort: bool,
    ) -> c_int;
    pub(crate) fn yoke_sys_pr_read_keys(
        bdev: *mut bindings::block_device,
        room: *mut u64,
        capacity: u32,
        generation: *mut u32,
        total: *mut u32,
    ) -> c_int;
    pub(crate) fn yoke_sys_pr_read_holder(
        bdev: *mut bindings::block_device,
        key: *mut u64,
        kind: *mut u32,
    ) -> c_int;
    pub(crate) fn yoke_sys_bdev_target(
        bdev: *mut bindings::block_device,
        vendor: *mut u8,
        model: *mut u8,
        rev: *mut u8,
    ) -> u32;

    pub(crate) fn yoke_sys_vmalloc(len: usize) -> *mut c_void;
    pub(crate) fn yoke_sys_vfree(p: *mut c_void);
    pub(crate) fn yoke_sys_copy(dst: *mut c_void, src: *const c_void, len: usize);
    pub(crate) fn yoke_sys_zero(dst: *mut c_void, len: usize);
    pub(crate) fn yoke_sys_crc32c(crc: u32, data: *const c_void, len: usize) -> u32;

    pub(crate) fn yoke_sys_wake_var(var: *const c_void);
    pub(crate) fn yoke_sys_wait_while(var: *const u32, value: u32, timeout_ns: u64) -> bool;
    pub(crate) fn yoke_sys_wq_init(wq: *mut bindings::wait_queue_head);
    pub(crate) fn yoke_sys_wq_wake(wq: *mut bindings::wait_queue_head, flag: *mut u32);
    pub(crate) fn yoke_sys_wq_wait(
        wq: *mut bindings::wait_queue_head,
        flag: *mut u32,
        deadline_ns: u64,
    ) -> bool;
    pub(crate) fn yoke_sys_should_stop() -> bool;
    pub(crate) fn yoke_sys_thread_create(
        f: unsafe extern "C" fn(*mut c_void) -> c_int,
        data: *mut c_void,
        name: *const c_char,
    ) -> *mut bindings::task_struct;
    pub(crate) fn yoke_sys_thread_realtime();
    pub(crate) fn yoke_sys_thread_urgent();
    pub(crate) fn yoke_sys_noio_save() -> c_uint;
    pub(crate) fn yoke_sys_noio_restore(flags: c_uint);
    pub(crate) fn yoke_sys_alloc_may_do_io() -> bool;
    pub(crate) fn yoke_sys_boottime_ns() -> u64;
    pub(crate) fn yoke_sys_monotonic_ns() -> u64;
    pub(crate) fn yoke_sys_random_u64() -> u64;
    pub(crate) fn yoke_sys_sleep_us(us: u64);
    pub(crate) fn yoke_sys_cpu() -> u32;
    pub(crate) fn yoke_sys_cpu_count() -> u32;
    pub(crate) fn yoke_sys_rcu_lock();
    pub(crate) fn yoke_sys_rcu_unlock();

    pub(crate) fn yoke_sys_this_module() -> *mut bindings::module;
    pub(crate) fn yoke_sys_group_new(name: *const c_char, max: u32) -> *mut Group;
    pub(crate) fn yoke_sys_group_set(
        group: *mut Group,
        i: u32,
        name: *const c_char,
        mode: u16,
        ops: *const AttrOps,
        entry: *const c_void,
    );
    pub(crate) fn yoke_sys_group_list(group: *const Group) -> *const c_void;
    pub(crate) fn yoke_sys_group_free(group: *mut Group);
    pub(crate) fn yoke_sys_device_create(
        class: *const c_void,
        parent: *mut bindings::device,
        data: *mut c_void,
        groups: *const c_void,
        name: *const c_char,
    ) -> *mut bindings::device;
    pub(crate) fn yoke_sys_device_uevent(
        dev: *mut bindings::device,
        env: *mut *mut c_char,
    ) -> c_int;
    pub(crate) fn yoke_sys_subsys_init(subsys: *mut bindings::configfs_subsystem);
    pub(crate) fn yoke_sys_add_default_group(
        child: *mut bindings::config_group,
        parent: *mut bindings::config_group,
    );

    pub(crate) fn yoke_sys_link_create(
        kind: *const c_char,
        device: *const c_char,
        ops: *const LinkOps,
        data: *mut c_void,
    ) -> *mut Link;
    pub(crate) fn yoke_sys_link_destroy(link: *mut Link);
    pub(crate) fn yoke_sys_link_error(link: *const Link) -> c_int;
    pub(crate) fn yoke_sys_link_caps(link: *const Link) -> u32;
    pub(crate) fn yoke_sys_link_max_message(link: *const Link) -> u32;
    pub(crate) fn yoke_sys_link_sizes(link: *const Link, own: *mut u64, peers: *mut u64);
    pub(crate) fn yoke_sys_link_is_up(link: *const Link) -> bool;
    pub(crate) fn yoke_sys_link_generation(link: *const Link) -> u64;
    pub(crate) fn yoke_sys_link_min_down_us(link: *const Link) -> u32;
    pub(crate) fn yoke_sys_link_post(
        link: *const Link,
        offset: u64,
        src: *const c_void,
        len: u64,
    ) -> c_int;
    pub(crate) fn yoke_sys_link_post64(link: *const Link, offset: u64, value: u64) -> c_int;
    pub(crate) fn yoke_sys_link_barrier(link: *const Link);
    pub(crate) fn yoke_sys_link_read64(link: *const Link, offset: u64, generation: *mut u64)
        -> u64;
    pub(crate) fn yoke_sys_link_ring(link: *const Link);
    pub(crate) fn yoke_sys_link_read(
        link: *const Link,
        offset: u64,
        dst: *mut c_void,
        len: usize,
    ) -> c_int;
    pub(crate) fn yoke_sys_link_write(
        link: *const Link,
        offset: u64,
        src: *const c_void,
        len: usize,
    ) -> c_int;
    pub(crate) fn yoke_sys_link_zero(link: *const Link, offset: u64, len: usize) -> c_int;
    pub(crate) fn yoke_sys_link_load64(link: *const Link, offset: u64, value: *mut u64) -> c_int;
    pub(crate) fn yoke_sys_link_store64(link: *const Link, offset: u64, value: u64) -> c_int;
    pub(crate) fn yoke_sys_link_send(link: *mut Link, message: *const c_void, len: u32) -> c_int;

    pub(crate) fn yoke_sys_panic_hook_new(
        call: unsafe extern "C" fn(*mut c_void),
        data: *mut c_void,
    ) -> *mut PanicHook;
    pub(crate) fn yoke_sys_panic_hook_free(hook: *mut PanicHook);

    pub(crate) fn yoke_sys_trace_state(
        object: *const c_char,
        object_len: u32,
        from: *const c_char,
        from_len: u32,
        to: *const c_char,
        to_len: u32,
        reason: *const c_char,
        reason_len: u32,
    );

    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_link_register() -> c_int;
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_link_unregister();
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_link_gone();
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_link_back(size: usize);
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_link_goes();
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_link_flaps();
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_link_fails(nth: u32);
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_link_prepare();
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_link_prepared() -> u32;
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_cache_put(
        disk: *mut bindings::gendisk,
        index: u64,
        dirty: bool,
    ) -> c_int;
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_cache_begin(disk: *mut bindings::gendisk, index: u64) -> c_int;
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_cache_read_half(disk: *mut bindings::gendisk, index: u64) -> c_int;
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_cache_lock(disk: *mut bindings::gendisk, index: u64, lock: bool);
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_cache_has(disk: *mut bindings::gendisk, index: u64) -> bool;
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_pr_attach(disk: *mut bindings::gendisk, lacks: u32);
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_pr_detach(disk: *mut bindings::gendisk);
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_pr_style(style: u32);
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_pr_host(host: u32, key: u64, holds: u32);
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_pr_answers(code: c_int, done: bool);
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_pr_claims(total: u32);
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_pr_aborted() -> bool;
    #[cfg(yoke_kunit)]
    pub(crate) fn yoke_sys_test_partition(disk: *mut bindings::gendisk) -> u64;
}
