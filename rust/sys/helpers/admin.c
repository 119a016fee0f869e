// SPDX-License-Identifier: GPL-2.0
/* Shims for sysfs, configfs and the module itself. */
#include <linux/blkdev.h>
#include <linux/configfs.h>
#include <linux/device.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

struct module *yoke_sys_this_module(void)
{
	return THIS_MODULE;
}

/*
 * A sysfs group made at run time. Each attribute leads to an entry of the Rust
 * side's table, and to the functions that know its type.
 */
struct yoke_sys_attr {
	struct device_attribute dev_attr;
	const struct yoke_sys_attr_ops *ops;
	const void *entry;
};

struct yoke_sys_group {
	struct attribute_group group;
	const struct attribute_group *groups[2];
	struct attribute **list;
	u32 max;
	struct yoke_sys_attr attrs[] __counted_by(max);
};

static ssize_t yoke_sys_attr_show(struct device *dev,
				  struct device_attribute *dev_attr, char *buf)
{
	struct yoke_sys_attr *attr =
		container_of(dev_attr, struct yoke_sys_attr, dev_attr);

	return attr->ops->show(attr->ops->on_disk ?
			       dev_to_disk(dev)->private_data :
			       dev_get_drvdata(dev), attr->entry, buf);
}

static ssize_t yoke_sys_attr_store(struct device *dev,
				   struct device_attribute *dev_attr,
				   const char *buf, size_t len)
{
	struct yoke_sys_attr *attr =
		container_of(dev_attr, struct yoke_sys_attr, dev_attr);

	return attr->ops->store(attr->ops->on_disk ?
				dev_to_disk(dev)->private_data :
				dev_get_drvdata(dev), attr->entry, buf, len);
}

/* May sleep. @name (NULL: no directory of its own) must outlive the group. */
struct yoke_sys_group *yoke_sys_group_new(const char *name, u32 max)
{
	struct yoke_sys_group *group;

	group = kzalloc(struct_size(group, attrs, max), GFP_KERNEL);
	if (!group)
		return NULL;
	group->list = kcalloc(max + 1, sizeof(*group->list), GFP_KERNEL);
	if (!group->list) {
		kfree(group);
		return NULL;
	}
	group->max = max;
	group->group.name = name;
	group->group.attrs = group->list;
	group->groups[0] = &group->group;
	return group;
}

/* Fill place @i < max, once each, in order. @name and @ops outlive the group. */
void yoke_sys_group_set(struct yoke_sys_group *group, u32 i, const char *name,
			u16 mode, const struct yoke_sys_attr_ops *ops,
			const void *entry)
{
	struct yoke_sys_attr *attr = &group->attrs[i];

	/* One lock class for all: lockdep wants a static key. */
	sysfs_attr_init(&attr->dev_attr.attr);
	attr->dev_attr.attr.name = name;
	attr->dev_attr.attr.mode = mode;
	attr->dev_attr.show = mode & 0444 ? yoke_sys_attr_show : NULL;
	attr->dev_attr.store = mode & 0222 ? yoke_sys_attr_store : NULL;
	attr->ops = ops;
	attr->entry = entry;
	group->list[i] = &attr->dev_attr.attr;
}

const void *yoke_sys_group_list(const struct yoke_sys_group *group)
{
	return group->groups;
}

/* May sleep. */
void yoke_sys_group_free(struct yoke_sys_group *group)
{
	kfree(group->list);
	kfree(group);
}

/* May sleep. ERR_PTR on failure. */
struct device *yoke_sys_device_create(const void *class, struct device *parent,
				      void *data, const void *groups,
				      const char *name)
{
	return device_create_with_groups(class, parent, MKDEV(0, 0), data,
					 (const struct attribute_group **)groups,
					 "%s", name);
}

/* May sleep. */
int yoke_sys_device_uevent(struct device *dev, char **env)
{
	return kobject_uevent_env(&dev->kobj, KOBJ_CHANGE, env);
}

void yoke_sys_subsys_init(struct configfs_subsystem *subsys)
{
	mutex_init(&subsys->su_mutex);
}

void yoke_sys_add_default_group(struct config_group *child,
				struct config_group *parent)
{
	configfs_add_default_group(child, parent);
}
