// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * /sys/kernel/tmk: limits and usage of the machine and of each group. The files
 * are described in doc/abi/sysfs-kernel-tmk.
 *
 * The machine is the group of the cgroup root: its directory is
 * /sys/kernel/tmk itself, and cgroups/1 is a link to it. No callback of a
 * group's file takes ktmk_groups_lock (see ktmk.h).
 */

#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/nsproxy.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "ktmk.h"

/**
 * struct group_attribute - a file of a group
 * @attr: name and mode
 * @show: prints it
 * @store: parses it
 * @id: which counter it is about
 */
struct group_attribute {
	struct attribute attr;
	ssize_t (*show)(struct ktmk_group *group, enum ktmk_counter_id id,
			char *buf);
	ssize_t (*store)(struct ktmk_group *group, enum ktmk_counter_id id,
			 const char *buf, size_t len);
	enum ktmk_counter_id id;
};

static struct kobject *ktmk_cgroups_kobj; /* /sys/kernel/tmk/cgroups */

static const char *const ktmk_kind_names[KTMK_KIND_NR] = {
	[TMK_IOC_KIND_PINNED] = "pinned",
	[TMK_IOC_KIND_HUGE] = "huge",
	[TMK_IOC_KIND_HUGETLB] = "hugetlb",
	[TMK_IOC_KIND_FILE] = "file",
};

/**
 * ktmk_kind_name() - the name of a kind
 * @kind: enum tmk_ioc_kind
 *
 * Return: a word.
 */
const char *ktmk_kind_name(u32 kind)
{
	return ktmk_kind_names[kind];
}

/* How far a suffix shifts, or -EINVAL. */
static int limit_suffix(char c)
{
	switch (tolower(c)) {
	case 'k':
		return 10;
	case 'm':
		return 20;
	case 'g':
		return 30;
	case 't':
		return 40;
	}
	return -EINVAL;
}

/**
 * ktmk_limit_parse() - read a limit as people write it
 * @out: bytes, or KTMK_UNLIMITED for "max"
 * @text: "max", "512M", "1073741824" or, if @whole is given, "50%"
 * @whole: what 100 % stands for, 0 refuses percentages
 *
 * memparse() takes junk and wraps around, so it will not do here.
 *
 * Return: 0, -EINVAL for junk, -ERANGE for what does not fit.
 */
int ktmk_limit_parse(u64 *out, const char *text, u64 whole)
{
	char digits[24];
	u64 value;
	size_t n;
	int shift;
	int err;

	text = skip_spaces(text);
	n = strcspn(text, " \t\n");
	if (text[n] && *skip_spaces(text + n))
		return -EINVAL;
	if (n == 3 && !strncmp(text, "max", 3)) {
		*out = KTMK_UNLIMITED;
		return 0;
	}
	if (!n || n >= sizeof(digits) || !isdigit(text[0]))
		return -EINVAL;
	memcpy(digits, text, n);
	digits[n] = '\0';

	if (whole && digits[n - 1] == '%') {
		digits[n - 1] = '\0';
		err = kstrtou64(digits, 10, &value);
		if (err || value > 100)
			return -EINVAL;
		*out = div_u64(whole, 100) * value;
		return 0;
	}
	shift = 0;
	if (!isdigit(digits[n - 1])) {
		shift = limit_suffix(digits[n - 1]);
		if (shift < 0)
			return shift;
		digits[n - 1] = '\0';
	}
	err = kstrtou64(digits, 10, &value);
	if (err)
		return err;
	if (check_shl_overflow(value, shift, &value) || value == KTMK_UNLIMITED)
		return -ERANGE;
	*out = value;
	return 0;
}

static ssize_t current_show(struct ktmk_group *group, enum ktmk_counter_id id,
			    char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  ktmk_counter_read(&group->counter[id]));
}

static ssize_t peak_show(struct ktmk_group *group, enum ktmk_counter_id id,
			 char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  ktmk_counter_peak(&group->counter[id]));
}

/* As with memory.peak, whatever is written. */
static ssize_t peak_store(struct ktmk_group *group, enum ktmk_counter_id id,
			  const char *buf, size_t len)
{
	if (!ktmk_may_administer(group))
		return -EPERM;
	ktmk_counter_reset_peak(&group->counter[id]);
	return len;
}

static ssize_t owner_show(struct ktmk_group *group, enum ktmk_counter_id id,
			  char *buf)
{
	kuid_t owner = ktmk_group_owner(group);

	if (!uid_valid(owner))
		return sysfs_emit(buf, "none\n");
	return sysfs_emit(buf, "%u\n",
			  from_kuid_munged(current_user_ns(), owner));
}

static ssize_t max_show(struct ktmk_group *group, enum ktmk_counter_id id,
			char *buf)
{
	u64 max = ktmk_counter_max(&group->counter[id]);

	if (max == KTMK_UNLIMITED)
		return sysfs_emit(buf, "max\n");
	return sysfs_emit(buf, "%llu\n", max);
}

static ssize_t max_store(struct ktmk_group *group, enum ktmk_counter_id id,
			 const char *buf, size_t len)
{
	u64 max;
	int err;

	if (!ktmk_may_administer(group))
		return -EPERM;
	err = ktmk_limit_parse(&max, buf, 0);
	if (err)
		return err;
	if (!ktmk_may_set_max(group, id, max))
		return -EPERM;
	err = ktmk_group_set_max(group, id, max);
	return err ?: len;
}

static ssize_t by_kind_show(struct ktmk_group *group, enum ktmk_counter_id id,
			    char *buf)
{
	ssize_t len = 0;
	int kind;

	for (kind = TMK_IOC_KIND_PINNED; kind < KTMK_KIND_NR; kind++)
		len += sysfs_emit_at(buf, len, "%s %lld\n",
				     ktmk_kind_names[kind],
				     atomic64_read(&group->by_kind[kind]));
	return len;
}

static ssize_t events_emit(const atomic64_t *events, const atomic64_t *room,
			   char *buf)
{
	return sysfs_emit(buf, "max %lld\nphysical_max %lld\nroom %lld\n",
			  atomic64_read(&events[KTMK_TOTAL]),
			  atomic64_read(&events[KTMK_PHYSICAL]),
			  atomic64_read(room));
}

static ssize_t events_show(struct ktmk_group *group, enum ktmk_counter_id id,
			   char *buf)
{
	return events_emit(group->events, &group->room, buf);
}

static ssize_t events_local_show(struct ktmk_group *group,
				 enum ktmk_counter_id id, char *buf)
{
	return events_emit(group->events_local, &group->room_local, buf);
}

static ssize_t online_show(struct ktmk_group *group, enum ktmk_counter_id id,
			   char *buf)
{
	return sysfs_emit(buf, "%d\n",
			  !!(group->cgrp->self.flags & CSS_ONLINE));
}

static ssize_t path_show(struct ktmk_group *group, enum ktmk_counter_id id,
			 char *buf)
{
	int len = cgroup_path_ns(group->cgrp, buf, PAGE_SIZE - 1,
				 current->nsproxy->cgroup_ns);

	if (len < 0)
		return len;
	if (len >= PAGE_SIZE - 1)
		return -ENAMETOOLONG;
	buf[len] = '\n';
	return len + 1;
}

#define GROUP_ATTR(_var, _name, _mode, _show, _store, _id) \
	static struct group_attribute _var = {             \
		.attr = { .name = _name, .mode = _mode },  \
		.show = _show,                             \
		.store = _store,                           \
		.id = _id,                                 \
	}

GROUP_ATTR(attr_path, "path", 0444, path_show, NULL, 0);
GROUP_ATTR(attr_online, "online", 0444, online_show, NULL, 0);
GROUP_ATTR(attr_current, "current", 0444, current_show, NULL, KTMK_TOTAL);
GROUP_ATTR(attr_owner, "owner", 0444, owner_show, NULL, 0);
GROUP_ATTR(attr_peak, "peak", 0644, peak_show, peak_store, KTMK_TOTAL);
GROUP_ATTR(attr_max, "max", 0644, max_show, max_store, KTMK_TOTAL);
GROUP_ATTR(attr_physical_current, "physical_current", 0444, current_show, NULL,
	   KTMK_PHYSICAL);
GROUP_ATTR(attr_physical_peak, "physical_peak", 0644, peak_show, peak_store,
	   KTMK_PHYSICAL);
GROUP_ATTR(attr_physical_max, "physical_max", 0644, max_show, max_store,
	   KTMK_PHYSICAL);
GROUP_ATTR(attr_by_kind, "by_kind", 0444, by_kind_show, NULL, 0);
GROUP_ATTR(attr_events, "events", 0444, events_show, NULL, 0);
GROUP_ATTR(attr_events_local, "events.local", 0444, events_local_show, NULL, 0);

/* clang-format off */
static struct attribute *group_attrs[] = {
	&attr_path.attr,
	&attr_online.attr,
	&attr_owner.attr,
	&attr_current.attr,
	&attr_peak.attr,
	&attr_max.attr,
	&attr_physical_current.attr,
	&attr_physical_peak.attr,
	&attr_physical_max.attr,
	&attr_by_kind.attr,
	&attr_events.attr,
	&attr_events_local.attr,
	NULL,
};
ATTRIBUTE_GROUPS(group);
/* clang-format on */

static ssize_t group_attr_show(struct kobject *kobj, struct attribute *attr,
			       char *buf)
{
	struct group_attribute *a =
		container_of(attr, struct group_attribute, attr);

	if (!a->show)
		return -EIO;
	return a->show(container_of(kobj, struct ktmk_group, kobj), a->id, buf);
}

static ssize_t group_attr_store(struct kobject *kobj, struct attribute *attr,
				const char *buf, size_t len)
{
	struct group_attribute *a =
		container_of(attr, struct group_attribute, attr);

	if (!a->store)
		return -EIO;
	return a->store(container_of(kobj, struct ktmk_group, kobj), a->id, buf,
			len);
}

static void group_release(struct kobject *kobj)
{
	struct ktmk_group *group = container_of(kobj, struct ktmk_group, kobj);

	cgroup_put(group->cgrp);
	kfree(group);
}

static const struct sysfs_ops group_sysfs_ops = {
	.show = group_attr_show,
	.store = group_attr_store,
};

struct kobj_type ktmk_group_ktype = {
	.release = group_release,
	.sysfs_ops = &group_sysfs_ops,
	.default_groups = group_groups,
};

static int control_set(const char *path, const char *key, const char *value)
{
	enum ktmk_counter_id id;
	kuid_t owner;
	u64 max;
	int err;

	if (!strcmp(key, "owner")) {
		err = ktmk_owner_parse(&owner, value);
		return err ?: ktmk_group_set_owner_by_path(path, owner);
	}
	if (!strcmp(key, "max"))
		id = KTMK_TOTAL;
	else if (!strcmp(key, "physical_max"))
		id = KTMK_PHYSICAL;
	else
		return -EINVAL;
	err = ktmk_limit_parse(&max, value, 0);
	return err ?: ktmk_group_set_max_by_path(path, id, max);
}

/* "<path> <key>=<value>"; the path may contain blanks, key and value do not. */
static ssize_t control_store(struct ktmk_group *root, enum ktmk_counter_id id,
			     const char *buf, size_t len)
{
	char *line, *key, *value;
	int err;

	if (!capable(CAP_SYS_RESOURCE))
		return -EPERM;
	line = kstrndup(buf, len, GFP_KERNEL);
	if (!line)
		return -ENOMEM;
	strim(line);

	err = -EINVAL;
	key = strrchr(line, ' ');
	if (line[0] != '/' || !key)
		goto out;
	*key++ = '\0';
	value = strchr(key, '=');
	if (!value)
		goto out;
	*value++ = '\0';
	err = control_set(strim(line), key, value);
out:
	kfree(line);
	return err ?: len;
}

static ssize_t version_show(struct ktmk_group *root, enum ktmk_counter_id id,
			    char *buf)
{
	return sysfs_emit(buf, "%s\n", KTMK_VERSION);
}

static ssize_t populate_show(struct ktmk_group *root, enum ktmk_counter_id id,
			     char *buf)
{
	return sysfs_emit(buf, "%s\n", ktmk_populate_own ? "own" : "shmem");
}

GROUP_ATTR(attr_control, "control", 0200, NULL, control_store, 0);
GROUP_ATTR(attr_version, "version", 0444, version_show, NULL, 0);
GROUP_ATTR(attr_populate, "populate", 0444, populate_show, NULL, 0);

static const struct attribute *const root_attrs[] = {
	&attr_control.attr,
	&attr_version.attr,
	&attr_populate.attr,
	NULL,
};

/**
 * ktmk_sysfs_add_root() - make /sys/kernel/tmk
 * @root: the machine's group
 *
 * Return: 0 or a negative errno, and nothing is left.
 */
int ktmk_sysfs_add_root(struct ktmk_group *root)
{
	int err;

	err = kobject_add(&root->kobj, kernel_kobj, "tmk");
	if (err)
		return err;
	err = sysfs_create_files(&root->kobj, root_attrs);
	if (err)
		goto err_del;
	err = -ENOMEM;
	ktmk_cgroups_kobj = kobject_create_and_add("cgroups", &root->kobj);
	if (!ktmk_cgroups_kobj)
		goto err_del;
	err = sysfs_create_link(ktmk_cgroups_kobj, &root->kobj, "1");
	if (err)
		goto err_cgroups;
	return 0;

err_cgroups:
	kobject_put(ktmk_cgroups_kobj);
err_del:
	kobject_del(&root->kobj);
	return err;
}

/**
 * ktmk_sysfs_remove_root() - remove /sys/kernel/tmk
 * @root: the machine's group; every other one is gone
 */
void ktmk_sysfs_remove_root(struct ktmk_group *root)
{
	kobject_put(ktmk_cgroups_kobj);
	sysfs_remove_files(&root->kobj, root_attrs);
	kobject_del(&root->kobj);
}

/**
 * ktmk_sysfs_add_group() - make a group's directory
 * @group: the group
 *
 * Return: 0 or a negative errno.
 */
int ktmk_sysfs_add_group(struct ktmk_group *group)
{
	int err = kobject_add(&group->kobj, ktmk_cgroups_kobj, "%llu",
			      ktmk_group_id(group));

	if (err || !uid_valid(ktmk_group_owner(group)))
		return err;
	err = ktmk_sysfs_set_owner(group);
	if (err)
		kobject_del(&group->kobj);
	return err;
}

/**
 * ktmk_sysfs_set_owner() - give the files of an administrator to who that is
 * @group: the group
 *
 * Return: 0, or -ENOMEM and some have changed hands.
 */
int ktmk_sysfs_set_owner(struct ktmk_group *group)
{
	static const struct group_attribute *const files[] = {
		&attr_max,
		&attr_physical_max,
		&attr_peak,
		&attr_physical_peak,
	};
	kuid_t owner = ktmk_group_owner(group);
	int err = 0;
	int i;

	if (!uid_valid(owner))
		owner = GLOBAL_ROOT_UID;
	for (i = 0; !err && i < ARRAY_SIZE(files); i++)
		err = sysfs_file_change_owner(&group->kobj, files[i]->attr.name,
					      owner, GLOBAL_ROOT_GID);
	return err;
}

/**
 * ktmk_sysfs_link_device() - /sys/class/misc/tmk/accounting
 * @device: the misc device
 *
 * Return: 0 or a negative errno.
 */
int ktmk_sysfs_link_device(struct kobject *device)
{
	return sysfs_create_link(device, &ktmk_group_root()->kobj,
				 "accounting");
}

/**
 * ktmk_sysfs_unlink_device() - undo ktmk_sysfs_link_device()
 * @device: the misc device
 */
void ktmk_sysfs_unlink_device(struct kobject *device)
{
	sysfs_remove_link(device, "accounting");
}
