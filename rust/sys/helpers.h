/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C shims for what Rust cannot reach: macros, inline functions and variadics of
 * the kernel. They add no policy. The Rust side (ffi.rs) declares the same
 * prototypes by hand: change both together.
 *
 * Context, unless a line says otherwise: any but NMI.
 */
#ifndef _YOKE_SYS_HELPERS_H
#define _YOKE_SYS_HELPERS_H

#include <linux/types.h>

struct bio;
struct block_device;
struct bvec_iter;
struct config_group;
struct config_item;
struct configfs_subsystem;
struct device;
struct gendisk;
struct module;
struct queue_limits;
struct task_struct;
struct wait_queue_head;
struct yoke_link;
struct yoke_sys_group;
struct yoke_sys_panic_hook;
struct yoke_window;

/* Operations of a bio, as Rust sees them (enum Op in bio.rs). */
#define YOKE_SYS_OP_READ		0
#define YOKE_SYS_OP_WRITE		1
#define YOKE_SYS_OP_FLUSH		2
#define YOKE_SYS_OP_DISCARD		3
#define YOKE_SYS_OP_WRITE_ZEROES	4
#define YOKE_SYS_OP_OTHER		5

/* Flags of a bio, as Rust sees them (struct Flags in bio.rs). */
#define YOKE_SYS_F_PREFLUSH		(1u << 0)
#define YOKE_SYS_F_FUA			(1u << 1)
#define YOKE_SYS_F_SYNC			(1u << 2)
#define YOKE_SYS_F_META			(1u << 3)
#define YOKE_SYS_F_RAHEAD		(1u << 4)
#define YOKE_SYS_F_NOWAIT		(1u << 5)
#define YOKE_SYS_F_NOUNMAP		(1u << 6)

/* What a disk is made of (struct Limits in disk/params.rs). */
struct yoke_sys_limits {
	u32 max_io_sectors;
	u32 discard_sectors;
	u32 write_zeroes_sectors;
	u32 flags;
	const struct yoke_sys_below *below;
};

#define YOKE_SYS_BLOCK_SIZE	4096

/* How the device below wants to be used, as seen from the disk on it (struct Below in backing/props.rs). Bytes. */
struct yoke_sys_below {
	u32 physical_block_size;
	u32 alignment_offset;
	u32 io_min;
	u32 io_opt;
	u32 dma_alignment;
	u32 discard_granularity;
	u32 discard_alignment;
	u32 flags;
};

#define YOKE_SYS_W_MISALIGNED		(1u << 0)
#define YOKE_SYS_W_ROTATIONAL		(1u << 1)

#define YOKE_SYS_L_WRITE_CACHE		(1u << 0)
#define YOKE_SYS_L_FUA			(1u << 1)
#define YOKE_SYS_L_PARTITIONS		(1u << 2)
#define YOKE_SYS_L_STABLE_WRITES	(1u << 3)

/* What a block device can do (struct Properties in backing/props.rs). */
struct yoke_sys_bdev_props {
	u64 sectors;
	u32 logical_block_size;
	u32 max_io_sectors;
	u32 max_segments;
	u32 discard_sectors;
	u32 write_zeroes_sectors;
	u32 flags;
};

#define YOKE_SYS_B_WRITE_CACHE		(1u << 0)
#define YOKE_SYS_B_FUA			(1u << 1)
#define YOKE_SYS_B_READ_ONLY		(1u << 2)
#define YOKE_SYS_B_ROTATIONAL		(1u << 3)
#define YOKE_SYS_B_STABLE_WRITES	(1u << 4)
#define YOKE_SYS_B_ZONED		(1u << 5)

/* What an operation on reservations says, and their types (include/uapi/linux/pr.h). */
#define YOKE_SYS_PR_CONFLICT		0x18
#define YOKE_SYS_PR_PATH_FAILED		0x10000
#define YOKE_SYS_PR_PATH_RETRY		0xe0000
#define YOKE_SYS_PR_PATH_FAST_FAILED	0xf0000

#define YOKE_SYS_PR_WE			1
#define YOKE_SYS_PR_EA			2
#define YOKE_SYS_PR_WE_REG_ONLY		3
#define YOKE_SYS_PR_EA_REG_ONLY		4
#define YOKE_SYS_PR_WE_ALL_REGS		5
#define YOKE_SYS_PR_EA_ALL_REGS		6

/* Whose disk it is (enum Target in backing/reservation.rs). */
#define YOKE_SYS_T_OTHER		0
#define YOKE_SYS_T_DM			1
#define YOKE_SYS_T_NVME			2
#define YOKE_SYS_T_NVME_MULTIPATH	3
#define YOKE_SYS_T_SCSI			4

/* What a SCSI disk says of itself, with the NUL. */
#define YOKE_SYS_VENDOR_LEN		9
#define YOKE_SYS_MODEL_LEN		41
#define YOKE_SYS_REV_LEN		5

/* How a sysfs attribute reaches the Rust side (sysfs.rs). */
struct yoke_sys_attr_ops {
	/* @data is the gendisk's private_data, else the device's drvdata. */
	bool on_disk;
	ssize_t (*show)(void *data, const void *entry, char *buf);
	ssize_t (*store)(void *data, const void *entry, const char *buf,
			 size_t len);
};

/* Where a link's upcalls go (interconnect.rs). Any context but NMI. */
struct yoke_sys_link_ops {
	void (*changed)(void *data);
	void (*doorbell)(void *data);
	void (*message)(void *data, const void *message, u32 len);
};

/* ---- bio ---- */
u32 yoke_sys_bio_op(const struct bio *bio);
u32 yoke_sys_bio_flags(const struct bio *bio);
struct bio *yoke_sys_bio_begin(struct bio *bio);
void yoke_sys_bio_end(struct bio *bio, u8 status);
u64 yoke_sys_bio_age_ns(const struct bio *bio);
u32 yoke_sys_bio_copy(struct bio *bio, struct bvec_iter *iter, void *buf,
		      u32 len, bool to_bio);
u32 yoke_sys_bio_zero(struct bio *bio, struct bvec_iter *iter, u32 len);
void *yoke_sys_bio_disk_data(const struct bio *bio);
bool yoke_sys_bio_is_cached(const struct bio *bio);
void yoke_sys_bio_prepare(struct bio *bio, struct block_device *bdev,
			  void *vecs, u32 max_vecs);
void yoke_sys_bio_aim(struct bio *bio, u32 op, u32 flags, u64 sector);
void yoke_sys_bio_aim_range(struct bio *bio, u32 op, u32 flags, u64 sector,
			    u32 bytes);
bool yoke_sys_bio_add_block(struct bio *bio, void *block);
void yoke_sys_bio_set_flags(struct bio *bio, u32 set, u32 clear);
struct bio *yoke_sys_bio_clone(struct block_device *bdev, struct bio *src,
			       void *bioset);
bool yoke_sys_bio_set_nowait(struct bio *bio);
bool yoke_sys_bio_would_block(const struct bio *bio);
bool yoke_sys_in_submit(void);

/* ---- disk and block device ---- */
struct gendisk *yoke_sys_disk_alloc(const struct yoke_sys_limits *limits);
u32 yoke_sys_disk_openers(struct gendisk *disk);
void *yoke_sys_disk_data(struct gendisk *disk);
int yoke_sys_disk_set_limits(struct gendisk *disk,
			     const struct yoke_sys_limits *limits);
int yoke_sys_disk_uevent(struct gendisk *disk, char **env);
u64 yoke_sys_disk_dev(struct gendisk *disk);
void yoke_sys_current(char *comm, int *pid);
void yoke_sys_disk_kill(struct gendisk *disk);
void yoke_sys_disk_remove(struct gendisk *disk);
void yoke_sys_disk_changed(struct gendisk *disk);
bool yoke_sys_disk_drop_cache(struct gendisk *disk, u64 *at);
bool yoke_sys_disk_forget(struct gendisk *disk);
bool yoke_sys_disk_is_mounted(struct gendisk *disk);
void yoke_sys_disk_lock_opens(struct gendisk *disk);
void yoke_sys_disk_unlock_opens(struct gendisk *disk);
void yoke_sys_bdev_props(struct block_device *bdev,
			 struct yoke_sys_bdev_props *props);
void yoke_sys_bdev_below(struct block_device *bdev, u64 start,
			 struct yoke_sys_below *below);

/* ---- reservations ---- */
bool yoke_sys_pr_usable(struct block_device *bdev);
int yoke_sys_pr_register(struct block_device *bdev, u64 old, u64 new,
			 bool ignore_old);
int yoke_sys_pr_reserve(struct block_device *bdev, u64 key, u32 type);
int yoke_sys_pr_release(struct block_device *bdev, u64 key, u32 type);
int yoke_sys_pr_preempt(struct block_device *bdev, u64 own, u64 victim,
			u32 type, bool abort);
int yoke_sys_pr_read_keys(struct block_device *bdev, u64 *room, u32 capacity,
			  u32 *generation, u32 *total);
int yoke_sys_pr_read_holder(struct block_device *bdev, u64 *key, u32 *type);
u32 yoke_sys_bdev_target(struct block_device *bdev, char *vendor, char *model,
			 char *rev);

/* ---- memory ---- */
void *yoke_sys_vmalloc(size_t len);
void yoke_sys_vfree(void *p);
void yoke_sys_copy(void *dst, const void *src, size_t len);
void yoke_sys_zero(void *dst, size_t len);
u32 yoke_sys_crc32c(u32 crc, const void *data, size_t len);

/* ---- waiting, threads, time ---- */
void yoke_sys_wake_var(const void *var);
bool yoke_sys_wait_while(const u32 *var, u32 value, u64 timeout_ns);
void yoke_sys_wq_init(struct wait_queue_head *wq);
void yoke_sys_wq_wake(struct wait_queue_head *wq, u32 *flag);
bool yoke_sys_wq_wait(struct wait_queue_head *wq, u32 *flag, u64 deadline_ns);
bool yoke_sys_should_stop(void);
struct task_struct *yoke_sys_thread_create(int (*fn)(void *), void *data,
					   const char *name);
void yoke_sys_thread_realtime(void);
void yoke_sys_thread_urgent(void);
unsigned int yoke_sys_noio_save(void);
void yoke_sys_noio_restore(unsigned int flags);
bool yoke_sys_alloc_may_do_io(void);
u64 yoke_sys_boottime_ns(void);
u64 yoke_sys_monotonic_ns(void);
u64 yoke_sys_random_u64(void);
void yoke_sys_sleep_us(u64 us);
u32 yoke_sys_cpu(void);
u32 yoke_sys_cpu_count(void);
void yoke_sys_rcu_lock(void);
void yoke_sys_rcu_unlock(void);

/* ---- sysfs, configfs, module ---- */
struct module *yoke_sys_this_module(void);
struct yoke_sys_group *yoke_sys_group_new(const char *name, u32 max);
void yoke_sys_group_set(struct yoke_sys_group *group, u32 i, const char *name,
			u16 mode, const struct yoke_sys_attr_ops *ops,
			const void *entry);
const void *yoke_sys_group_list(const struct yoke_sys_group *group);
void yoke_sys_group_free(struct yoke_sys_group *group);
struct device *yoke_sys_device_create(const void *class, struct device *parent,
				      void *data, const void *groups,
				      const char *name);
int yoke_sys_device_uevent(struct device *dev, char **env);
void yoke_sys_subsys_init(struct configfs_subsystem *subsys);
void yoke_sys_add_default_group(struct config_group *child,
				struct config_group *parent);

/* ---- links: include/yoke/interconnect.h says what each does ---- */
struct yoke_link *yoke_sys_link_create(const char *kind, const char *device,
				       const struct yoke_sys_link_ops *ops,
				       void *data);
void yoke_sys_link_destroy(struct yoke_link *link);
int yoke_sys_link_error(const struct yoke_link *link);
u32 yoke_sys_link_caps(const struct yoke_link *link);
u32 yoke_sys_link_max_message(const struct yoke_link *link);
void yoke_sys_link_sizes(const struct yoke_link *link, u64 *in, u64 *out);
bool yoke_sys_link_is_up(const struct yoke_link *link);
u64 yoke_sys_link_generation(const struct yoke_link *link);
u32 yoke_sys_link_min_down_us(const struct yoke_link *link);
int yoke_sys_link_post(const struct yoke_link *link, u64 offset,
		       const void *src, u64 len);
int yoke_sys_link_post64(const struct yoke_link *link, u64 offset, u64 value);
void yoke_sys_link_barrier(const struct yoke_link *link);
u64 yoke_sys_link_read64(const struct yoke_link *link, u64 offset,
			 u64 *generation);
void yoke_sys_link_ring(const struct yoke_link *link);
int yoke_sys_link_read(const struct yoke_link *link, u64 offset, void *dst,
		       size_t len);
int yoke_sys_link_write(const struct yoke_link *link, u64 offset,
			const void *src, size_t len);
int yoke_sys_link_zero(const struct yoke_link *link, u64 offset, size_t len);
int yoke_sys_link_load64(const struct yoke_link *link, u64 offset, u64 *value);
int yoke_sys_link_store64(const struct yoke_link *link, u64 offset, u64 value);
int yoke_sys_link_send(struct yoke_link *link, const void *message, u32 len);

/* ---- panic ---- */
struct yoke_sys_panic_hook *yoke_sys_panic_hook_new(void (*call)(void *data),
						    void *data);
void yoke_sys_panic_hook_free(struct yoke_sys_panic_hook *hook);

/* ---- trace ---- */
void yoke_sys_trace_state(const char *object, u32 object_len, const char *from,
			  u32 from_len, const char *to, u32 to_len,
			  const char *reason, u32 reason_len);

/* ---- KUnit ---- */
int yoke_sys_test_link_register(void);
void yoke_sys_test_link_unregister(void);
void yoke_sys_test_link_gone(void);
void yoke_sys_test_link_back(size_t size);
void yoke_sys_test_link_goes(void);
void yoke_sys_test_link_flaps(void);
void yoke_sys_test_link_fails(u32 nth);
void yoke_sys_test_link_prepare(void);
u32 yoke_sys_test_link_prepared(void);
int yoke_sys_test_cache_put(struct gendisk *disk, u64 index, bool dirty);
int yoke_sys_test_cache_begin(struct gendisk *disk, u64 index);
int yoke_sys_test_cache_read_half(struct gendisk *disk, u64 index);
void yoke_sys_test_cache_lock(struct gendisk *disk, u64 index, bool lock);
bool yoke_sys_test_cache_has(struct gendisk *disk, u64 index);
void yoke_sys_test_pr_attach(struct gendisk *disk, u32 lacks);
void yoke_sys_test_pr_detach(struct gendisk *disk);
void yoke_sys_test_pr_style(u32 style);
void yoke_sys_test_pr_host(u32 host, u64 key, u32 holds);
void yoke_sys_test_pr_answers(int code, bool done);
void yoke_sys_test_pr_claims(u32 total);
bool yoke_sys_test_pr_aborted(void);
u64 yoke_sys_test_partition(struct gendisk *disk);

#endif
