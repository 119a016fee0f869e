// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI bus of its own with the two ends of the test bridge on it, as devices 0
 * and 1, so that they can be removed and rescanned like hardware. The bus has
 * nothing but a configuration space that says who they are.
 */
#include <linux/module.h>

#include "bridge.h"

/* Nobody's. */
#define VENDOR		0x0b1d
#define DEVICE		0x6e74
#define DOMAIN		0x6e74

#define KIB	1024ULL
#define MIB	(1024 * KIB)

static const struct nature natures[] = {
	{
		/* Xeon: two BARs and a small one; aligned to the BAR. */
		.name = "intel", .windows = 3, .size = { 16 * KIB, MIB, MIB },
		.addr_align = MIB, .size_align = 1,
		.alloc_max = 4 * MIB, .skew = 12 * KIB, .port = { 0, 1 }, .doorbells = 0x3fff,
	}, {
		/* A BAR that is no power of two, the largest comes last, and memory is short. */
		.name = "amd", .windows = 3, .size = { 64 * KIB, 256 * KIB, 3 * MIB },
		.addr_align = 4096, .size_align = 1, .forgets = true,
		.alloc_max = MIB, .skew = 0, .port = { 0, 1 }, .doorbells = 0xfff0,
	}, {
		.name = "switchtec", .windows = 2, .size = { 512 * KIB, 64 * KIB },
		.addr_align = 4096, .size_align = 4096, .natural = true, .by_peer = true, .forgets = true,
		.alloc_max = 4 * MIB, .skew = 20 * KIB, .port = { 1, 2 }, .doorbells = 0xfffffff0,
	}, {
		/* Look-up tables: windows of one size. */
		.name = "lut", .windows = 4, .size = { 4 * KIB, 64 * KIB, 64 * KIB, 64 * KIB },
		.addr_align = 64 * KIB, .size_align = 64 * KIB,
		.alloc_max = 4 * MIB, .skew = 4 * KIB, .port = { 3, 5 }, .doorbells = 0x80,
	}, {
		.name = "epf", .windows = 1, .size = { MIB },
		.addr_align = 4096, .size_align = 1, .other_dma = true,
		.alloc_max = 4 * MIB, .skew = 0, .port = { 0, 1 }, .doorbells = 0,
	}, {
		/* A BAR that is translated directly. */
		.name = "idt", .windows = 2, .size = { 64 * KIB, MIB }, .sends = true,
		.addr_align = 4, .size_align = 1,
		.alloc_max = 4 * MIB, .skew = 0, .port = { 2, 4 }, .doorbells = 0xffffffff,
	}, {
		/* Look-up tables: parts of a BAR, each used whole or not at all. */
		.name = "idt-lut", .windows = 4, .size = { 64 * KIB, 64 * KIB, 64 * KIB, 64 * KIB },
		.sends = true, .addr_align = 4, .size_align = 64 * KIB,
		.alloc_max = 4 * MIB, .skew = 4 * KIB, .port = { 9, 1 }, .doorbells = 0xffffffff,
	}, {
		/* It translates at the sending end, and has nothing to say where. */
		.name = "mute", .windows = 1, .size = { MIB }, .sends = true, .mute = true,
		.addr_align = 4, .size_align = 1,
		.alloc_max = 4 * MIB, .skew = 0, .port = { 2, 4 }, .doorbells = 0xffffffff,
	}, {
		.name = "tiny", .windows = 2, .size = { 4 * KIB, 32 * KIB },
		.addr_align = 4096, .size_align = 4096,
		.alloc_max = 4 * MIB, .skew = 0, .port = { 0, 1 }, .doorbells = 1,
	}, {
		.name = "poor", .windows = 1, .size = { MIB },
		.addr_align = 4096, .size_align = 4096,
		.alloc_max = 16 * KIB, .skew = 0, .port = { 0, 1 }, .doorbells = 1,
	},
};

static char *like = "intel";
module_param(like, charp, 0444);
MODULE_PARM_DESC(like, "What it plays: intel, amd, switchtec, lut, epf, idt, idt-lut, mute (no messages), tiny (windows too small), poor (no memory)");

const struct nature *nature;
struct side sides[SIDES];
static struct dentry *top;
static struct pci_bus *bus;
static struct pci_sysdata sysdata = { .domain = DOMAIN, .node = NUMA_NO_NODE };
static struct resource numbers = { .name = "ntb_test_bridge", .start = 0, .end = 0, .flags = IORESOURCE_BUS };

static int config_read(struct pci_bus *bus, unsigned int devfn, int where,
		       int size, u32 *value)
{
	u32 word = 0;

	*value = ~0;
	if (PCI_SLOT(devfn) >= SIDES || PCI_FUNC(devfn))
		return PCIBIOS_DEVICE_NOT_FOUND;
	if ((where & ~3) == PCI_VENDOR_ID)
		word = VENDOR | DEVICE << 16;
	else if ((where & ~3) == PCI_COMMAND)
		word = READ_ONCE(sides[PCI_SLOT(devfn)].command);
	else if ((where & ~3) == PCI_CLASS_REVISION)
		word = PCI_CLASS_BRIDGE_OTHER << 16;
	*value = word >> (where & 3) * 8 & (u32)((1ULL << size * 8) - 1);
	return PCIBIOS_SUCCESSFUL;
}

static int config_write(struct pci_bus *bus, unsigned int devfn, int where,
			int size, u32 value)
{
	if (PCI_SLOT(devfn) < SIDES && !PCI_FUNC(devfn) && where == PCI_COMMAND && size > 1)
		WRITE_ONCE(sides[PCI_SLOT(devfn)].command, value);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops config = { .read = config_read, .write = config_write };

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int err = dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));

	if (err)
		return err;
	pci_set_master(pdev);
	return bridge_register(&sides[PCI_SLOT(pdev->devfn)], pdev);
}

static void remove(struct pci_dev *pdev)
{
	bridge_unregister(&sides[PCI_SLOT(pdev->devfn)]);
	pci_clear_master(pdev);
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(VENDOR, DEVICE) },
	{ }
};

static struct pci_driver driver = {
	.name = "ntb_test_bridge",
	.id_table = ids,
	.probe = probe,
	.remove = remove,
};

static int scan(void)
{
	LIST_HEAD(resources);

	pci_add_resource(&resources, &numbers);
	bus = pci_scan_root_bus(NULL, 0, &config, &sysdata, &resources);
	if (!bus) {
		pci_free_resource_list(&resources);
		return -ENODEV;
	}
	pci_bus_add_devices(bus);
	return 0;
}

static void leave(void)
{
	int i;

	if (bus) {
		pci_lock_rescan_remove();
		pci_stop_root_bus(bus);
		pci_remove_root_bus(bus);
		pci_unlock_rescan_remove();
	}
	debugfs_remove(top);
	for (i = 0; i < SIDES; i++)
		memory_exit(&sides[i]);
}

static int __init ntb_test_bridge_init(void)
{
	int i, err = 0;

	for (i = 0; i < ARRAY_SIZE(natures); i++)
		if (!strcmp(natures[i].name, like))
			nature = &natures[i];
	if (!nature)
		return -EINVAL;
	top = debugfs_create_dir("ntb_test_bridge", NULL);
	for (i = 0; i < SIDES && !err; i++) {
		sides[i].number = i;
		bridge_init(&sides[i]);
		bridge_files(&sides[i], top);
		err = memory_init(&sides[i]);
	}
	err = err ?: pci_register_driver(&driver);
	if (!err) {
		err = scan();
		if (err)
			pci_unregister_driver(&driver);
	}
	if (err)
		leave();
	return err;
}
module_init(ntb_test_bridge_init);

static void __exit ntb_test_bridge_exit(void)
{
	pci_unregister_driver(&driver);
	leave();
}
module_exit(ntb_test_bridge_exit);

MODULE_AUTHOR("yoke maintainers");
MODULE_DESCRIPTION("Both ends of a picky NTB, for tests");
MODULE_LICENSE("GPL");
