// SPDX-License-Identifier: GPL-2.0
/*
 * What only C can do: exported symbols, per-CPU work, and an inline of the DMA core.
 */
#include <linux/cpu.h>
#include <linux/dma-map-ops.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/ntb.h>
#include <linux/pci.h>
#include <linux/percpu.h>
#include <linux/workqueue.h>

#include <yoke/ntb_down_count.h>

#include "shim.h"

#ifndef CONFIG_ARCH_HAS_DMA_OPS
#error "ntb_hw_ivshmem needs CONFIG_ARCH_HAS_DMA_OPS: on x86 set CONFIG_GART_IOMMU=y or CONFIG_XEN=y"
#endif

/* Returns 0; -EOPNOTSUPP behind an IOMMU, whose operations win over @ops. */
int ntb_hw_ivshmem_set_dma_ops(struct pci_dev *pdev, const struct dma_map_ops *ops)
{
	if (ops && device_iommu_mapped(&pdev->dev))
		return -EOPNOTSUPP;
	set_dma_ops(&pdev->dev, ops);
	return 0;
}

const struct dma_map_ops *ntb_hw_ivshmem_dma_ops(struct device *dev)
{
	return get_dma_ops(dev);
}

static void settled(struct work_struct *work)
{
}

/* Waits until what stands on @wq now has run, or at least begun and gone to sleep, on every CPU. */
static void settle(struct workqueue_struct *wq, struct work_struct __percpu *works)
{
	int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		INIT_WORK(per_cpu_ptr(works, cpu), settled);
		queue_work_on(cpu, wq, per_cpu_ptr(works, cpu));
	}
	for_each_online_cpu(cpu)
		flush_work(per_cpu_ptr(works, cpu));
	cpus_read_unlock();
}

/*
 * Waits until the work that NTB clients queued on the system's work queues has run. The queues
 * cannot be flushed as a whole (it is forbidden, for good reasons), so an item of our own goes
 * behind what is there. Twice: an item that slept the first time, for a lock that another one
 * held, has run when the second one has. Not waited for: one that sleeps for another reason, and
 * one that uses its CPU for longer than workqueue.cpu_intensive_thresh_us (10 ms), which lets
 * others run beside it.
 *
 * Context: may sleep. Returns 0 or -ENOMEM.
 */
int ntb_hw_ivshmem_settle(void)
{
	struct work_struct __percpu *works = alloc_percpu(struct work_struct);
	int round;

	if (!works)
		return -ENOMEM;
	for (round = 0; round < 2; round++) {
		settle(system_percpu_wq, works);
		settle(system_highpri_wq, works);
	}
	free_percpu(works);
	return 0;
}

u64 ntb_hw_ivshmem_down_count(struct ntb_dev *ntb)
{
	return ntb_hw_ivshmem_rust_down_count(ntb);
}
EXPORT_SYMBOL_GPL(ntb_hw_ivshmem_down_count);

u32 ntb_hw_ivshmem_min_down_us(struct ntb_dev *ntb)
{
	return ntb_hw_ivshmem_rust_min_down_us(ntb);
}
EXPORT_SYMBOL_GPL(ntb_hw_ivshmem_min_down_us);
