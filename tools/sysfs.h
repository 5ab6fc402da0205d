/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * /sys/kernel/tmk read into one struct; its files are described in
 * doc/abi/sysfs-kernel-tmk. Reading is not atomic: groups come and go
 * meanwhile, and the figures of one group are of slightly different moments.
 */
#ifndef TMKCTL_SYSFS_H
#define TMKCTL_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common.h"

#define TMKCTL_KINDS_MAX 16

/* One line of by_kind. */
struct tmkctl_kind {
	char name[24];
	uint64_t bytes;
};

/* The two lines of events. */
struct tmkctl_events {
	uint64_t max;
	uint64_t physical_max;
};

/**
 * struct tmkctl_group - a cgroup's directory, or the machine
 * @id: of the cgroup; 1 for the machine
 * @path: as the kernel shows it, "/" for the machine
 * @online: the cgroup still exists
 * @current: and the others: the file of that name, TMK_UNLIMITED is "max"
 * @kinds: by_kind
 * @kinds_nr: how many
 * @events: refusals here and below
 * @events_local: refusals by this very group's limits
 */
struct tmkctl_group {
	uint64_t id;
	char *path;
	bool online;
	uint64_t current;
	uint64_t peak;
	uint64_t max;
	uint64_t physical_current;
	uint64_t physical_peak;
	uint64_t physical_max;
	struct tmkctl_kind kinds[TMKCTL_KINDS_MAX];
	size_t kinds_nr;
	struct tmkctl_events events;
	struct tmkctl_events events_local;
};

/**
 * struct tmkctl_tree - all of it
 * @version: of the module
 * @populate: where its pages come from
 * @machine: the machine's totals
 * @groups: every cgroup but the root, a parent before its children
 * @groups_nr: how many
 */
struct tmkctl_tree {
	char version[32];
	char populate[16];
	struct tmkctl_group machine;
	struct tmkctl_group *groups;
	size_t groups_nr;
};

/**
 * tmkctl_tree_read() - read everything
 * @out: filled in; tmkctl_tree_free() it, also after a failure
 * @ctl: where it is
 *
 * Return: an exit code; what is wrong was said if it is not TMKCTL_OK.
 */
int tmkctl_tree_read(struct tmkctl_tree *out, const struct tmkctl *ctl);

/** tmkctl_tree_free() - give back what tmkctl_tree_read() took */
void tmkctl_tree_free(struct tmkctl_tree *tree);

/** tmkctl_tree_find() - the living group of a path, "/" included, or NULL */
const struct tmkctl_group *tmkctl_tree_find(const struct tmkctl_tree *tree,
					    const char *path);

#endif /* TMKCTL_SYSFS_H */
