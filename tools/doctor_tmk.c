// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * Doctor's look at tmk itself: the module, its device, whether each backend hands
 * out a region, and how much a program may have.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tmk/device.h>
#include <tmk/region.h>

#include "doctor.h"

/* More than the main job takes at any moment. */
#define TRIAL_BYTES (UINT64_C(8) << 20)

/**
 * doctor_module() - is it loaded, and is it of this version?
 * @out: the finding
 * @ctl: where to look
 */
void doctor_module(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	char version[64], populate[32];

	if (tmkctl_file_read(version, sizeof(version), "%s/version",
			     ctl->sysfs)) {
		doctor_found(out, TMKCTL_STATE_MISSING,
			     "tmk is not loaded (there is no %s/version)",
			     ctl->sysfs);
		doctor_advise(
			out,
			"load tmk.ko as root for limits that the kernel enforces; without it the user backend runs");
		return;
	}
	tmkctl_file_read(populate, sizeof(populate), "%s/populate", ctl->sysfs);
	if (strcmp(version, TMK_META_VERSION)) {
		doctor_found(out, TMKCTL_STATE_LIMITED,
			     "version %s is loaded, this is tmkctl %s", version,
			     TMK_META_VERSION);
		doctor_advise(out, "load the tmk.ko of version %s",
			      TMK_META_VERSION);
		return;
	}
	doctor_found(out, TMKCTL_STATE_OK, "version %s, populate=%s", version,
		     populate);
}

/**
 * doctor_device() - is /dev/tmk there, and may this user open it?
 * @out: the finding
 * @ctl: where to look
 */
void doctor_device(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	char path[4096];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/dev/tmk", ctl->root);
	if (stat(path, &st)) {
		doctor_found(out, TMKCTL_STATE_MISSING, "there is no %s", path);
		doctor_advise(
			out,
			"it comes with the module; in a container it has to be passed in");
		return;
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		doctor_found(out, TMKCTL_STATE_MISSING,
			     "%s cannot be opened: %s", path, strerror(errno));
		doctor_advise(out, "give this user access to %s (mode %04o)",
			      path, (unsigned int)st.st_mode & 07777);
		return;
	}
	close(fd);
	doctor_found(out, TMKCTL_STATE_OK, "%s can be opened", path);
}

/* One region, which pages it got, and back. */
static void try_region(struct tmkctl_finding *out)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_region_info info;
	struct tmk_region *region;
	char total[24], huge[24];

	opts.name = "doctor";
	if (tmk_region_create(&region, TRIAL_BYTES, &opts) ||
	    tmk_region_info(&info, region)) {
		doctor_found(out, TMKCTL_STATE_MISSING, "%s", tmk_error_last());
		doctor_advise(
			out,
			"raise the limit that the sentence names, or free memory");
		return;
	}
	tmk_bytes_format(total, sizeof(total), info.bytes);
	tmk_bytes_format(huge, sizeof(huge), info.bytes_2m + info.bytes_1g);
	if (info.physical_bytes < info.bytes) {
		doctor_found(out, TMKCTL_STATE_LIMITED,
			     "%s tried: works, but is not all in RAM", total);
		doctor_advise(out, "see memlock below");
	} else if (info.bytes_2m + info.bytes_1g < info.bytes) {
		doctor_found(out, TMKCTL_STATE_LIMITED,
			     "%s tried: works, with %s in huge pages", total,
			     info.bytes_2m + info.bytes_1g ? huge : "nothing");
		doctor_advise(
			out,
			"see huge-pages and huge-shmem below, or free memory; it is slower, never wrong");
	} else {
		doctor_found(out, TMKCTL_STATE_OK,
			     "%s tried: works, all of it in huge pages", total);
	}
	tmk_region_put(region);
}

static void try_backend(struct tmkctl_finding *out, enum tmk_backend backend,
			const char *advice)
{
	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;

	opts.backend = backend;
	if (tmk_open(&opts)) {
		doctor_found(out, TMKCTL_STATE_MISSING, "%s", tmk_error_last());
		doctor_advise(out, "%s", advice);
		return;
	}
	try_region(out);
	(void)tmk_close(); /* nothing is held any more */
}

/**
 * doctor_backend_dev() - does the kernel backend hand out memory?
 * @out: the finding
 * @ctl: unused: the library looks by itself
 */
void doctor_backend_dev(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	(void)ctl;
	try_backend(out, TMK_BACKEND_DEV, "see module and device above");
}

/**
 * doctor_backend_user() - does the backend without the module?
 * @out: the finding
 * @ctl: unused: the library looks by itself
 */
void doctor_backend_user(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	(void)ctl;
	try_backend(out, TMK_BACKEND_USER,
		    "correct what the sentence names (environment TMK_*)");
}

/* "12.0 GiB (tmk physical_max of /team: 4.0 GiB of 16.0 GiB in use)" */
static void print_room(char *buf, size_t len,
		       const struct tmk_limit_state *state)
{
	char room[24], used[24], max[24];

	tmk_bytes_format(room, sizeof(room), state->room);
	tmk_bytes_format(used, sizeof(used), state->used);
	tmk_bytes_format(max, sizeof(max), state->max);
	snprintf(buf, len, "%s (%s%s%s: %s of %s in use)", room,
		 tmk_limit_name(state->limit), *state->where ? " of " : "",
		 state->where, used, max);
}

/**
 * doctor_room() - how much could a program have that is started here now?
 * @out: the finding
 * @ctl: unused: the library looks by itself
 */
void doctor_room(struct tmkctl_finding *out, const struct tmkctl *ctl)
{
	struct tmk_limits_effective limits;
	char huge[220], pinned[220];

	(void)ctl;
	if (tmk_limits_effective(&limits)) {
		doctor_found(out, TMKCTL_STATE_MISSING, "%s", tmk_error_last());
		doctor_advise(out, "see the backends above");
		return;
	}
	(void)tmk_close(); /* nothing is held */
	print_room(huge, sizeof(huge), &limits.physical);
	print_room(pinned, sizeof(pinned), &limits.pinned);
	doctor_found(out,
		     limits.physical.room < TRIAL_BYTES ? TMKCTL_STATE_LIMITED :
							  TMKCTL_STATE_OK,
		     "%s%s%s", huge,
		     limits.pinned.room < limits.physical.room ? "; pinned " :
								 "",
		     limits.pinned.room < limits.physical.room ? pinned : "");
	if (limits.physical.room < TRIAL_BYTES)
		doctor_advise(out, "raise that limit, or free what is in use");
}
