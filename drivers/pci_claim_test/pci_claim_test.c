// SPDX-License-Identifier: GPL-2.0
/*
 * Another user of a device's BAR, for tests only: is a driver that is refused the BAR through
 * with the device?
 *
 * insmod claims BAR `bar` of the device at 0000:00:`slot`.0, which no driver may have then.
 * Writing N to /sys/module/pci_claim_test/parameters/held gives it back, with the reference on
 * the device. From the load on, `released` says whether the kernel has freed that device, which
 * it does when the device is removed and nobody has a reference any more.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/pci.h>

static unsigned int slot;
module_param(slot, uint, 0444);
MODULE_PARM_DESC(slot, "Slot of the device on the first bus");

static unsigned int bar;
module_param(bar, uint, 0444);
MODULE_PARM_DESC(bar, "Which of its BARs to claim");

/* Compared only, once the reference is given back. */
static const struct device *watched;
static bool released;
module_param(released, bool, 0444);
MODULE_PARM_DESC(released, "Whether the device has been freed");

/* Under the parameters' mutex: the file is there before init runs, and after exit has. */
static struct pci_dev *claimed;

static void let_go(void)
{
	if (!claimed)
		return;
	pci_release_region(claimed, bar);
	pci_dev_put(claimed);
	claimed = NULL;
}

/* Context: the parameters' mutex is held. */
static int set_held(const char *text, const struct kernel_param *param)
{
	bool hold;
	int ret = kstrtobool(text, &hold);

	if (ret)
		return ret;
	if (hold)
		return -EINVAL;
	let_go();
	return 0;
}

static int get_held(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%c\n", claimed ? 'Y' : 'N');
}

static const struct kernel_param_ops held_ops = {
	.set = set_held,
	.get = get_held,
};
module_param_cb(held, &held_ops, NULL, 0644);
MODULE_PARM_DESC(held, "Whether the BAR is claimed; N gives it back");

static int is_released(struct kprobe *probe, struct pt_regs *regs)
{
	if ((const struct device *)regs_get_kernel_argument(regs, 0) == watched)
		WRITE_ONCE(released, true);
	return 0;
}

static struct kprobe release_probe = {
	.symbol_name = "pci_release_dev",
	.pre_handler = is_released,
};

static int claim(void)
{
	struct pci_dev *pdev;
	int ret;

	pdev = pci_get_domain_bus_and_slot(0, 0, PCI_DEVFN(slot, 0));
	if (!pdev)
		return -ENODEV;
	watched = &pdev->dev;
	ret = pci_request_region(pdev, bar, KBUILD_MODNAME);
	if (ret) {
		pci_dev_put(pdev);
		return ret;
	}
	claimed = pdev;
	ret = register_kprobe(&release_probe);
	if (ret)
		let_go();
	return ret;
}

static int __init pci_claim_test_init(void)
{
	int ret;

	kernel_param_lock(THIS_MODULE);
	ret = claim();
	kernel_param_unlock(THIS_MODULE);
	return ret;
}

static void __exit pci_claim_test_exit(void)
{
	unregister_kprobe(&release_probe);
	kernel_param_lock(THIS_MODULE);
	let_go();
	kernel_param_unlock(THIS_MODULE);
}

module_init(pci_claim_test_init);
module_exit(pci_claim_test_exit);

MODULE_DESCRIPTION("Another user of a device's BAR, for tests");
MODULE_AUTHOR("yoke maintainers");
MODULE_LICENSE("GPL");
