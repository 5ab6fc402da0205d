// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * The open library: which backend runs, and where the limits come from.
 *
 * There is one struct tmk__device while the library is open. tmk_open() makes
 * it, or the first call that needs memory; tmk_close() takes it away. Whoever
 * is about to use the backend holds a reference meanwhile, so that closing at
 * the same time does no harm. Regions need none: they outlive it.
 *
 * device_lock guards the pointer, the references and the count of tmk_open().
 * It is held while the library opens and never while a region is made. Order:
 * device_lock, then the cache's. fork() takes both, so that the child finds
 * them free; the child's references that other threads held are never given
 * back, which keeps a few hundred bytes and a descriptor until it exits.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/atfork.h"

/**
 * struct tmk__device - the library while it is open
 * @refs: one for being open, one for each call that is using it
 * @ops: its backend
 * @state: the backend's
 * @reason: why this backend
 * @features: filled in when they are first asked for
 * @features_known: they are
 */
struct tmk__device {
	unsigned int refs;
	const struct tmk__backend_ops *ops;
	void *state;
	char reason[600];
	struct tmk__features features;
	bool features_known;
};

static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tmk__device *device_open; /* NULL while closed */
static unsigned int device_opens; /* calls of tmk_open() to be undone */

static int fork_err;

const char *tmk_version(void)
{
	return TMK_VERSION_STRING;
}

static void fork_prepare(void)
{
	pthread_mutex_lock(&device_lock);
	tmk__cache_fork_prepare();
}

static void fork_parent(void)
{
	tmk__cache_fork_parent();
	pthread_mutex_unlock(&device_lock);
}

static void fork_child(void)
{
	pthread_mutex_unlock(&device_lock);
	tmk__cache_fork_child();
}

TMK__AT_LOAD(DEVICE)
static void fork_register(void)
{
	fork_err = pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* From the program, else the environment, else the default. */
static int limit_choose(uint64_t *out, uint64_t given, enum tmk__env env,
			uint64_t whole, uint64_t fallback)
{
	if (given) {
		*out = given;
		return 0;
	}
	return tmk__env_bytes(out, env, whole, fallback);
}

/* What this process may use at most: RAM, or less where a cgroup says so. */
static int memory_whole(uint64_t *out)
{
	struct tmk__cgroup_mount mount;
	struct tmk__memcg memcg;
	int err;

	err = tmk__meminfo(out, NULL);
	if (err)
		return err;
	if (!tmk__cgroup_find(&mount) && !tmk__cgroup_least(&memcg, &mount))
		*out = TMK__MIN(*out, memcg.max);
	return 0;
}

static int limits_choose(struct tmk_limits *limits, uint64_t *initial,
			 const struct tmk_open_opts *opts)
{
	uint64_t whole;
	int err;

	err = memory_whole(&whole);
	if (!err)
		err = limit_choose(&limits->max_bytes, opts->max_bytes,
				   TMK__ENV_MAX_BYTES, whole, whole / 2);
	if (!err)
		err = limit_choose(&limits->max_physical_bytes,
				   opts->max_physical_bytes,
				   TMK__ENV_MAX_PHYSICAL_BYTES, whole,
				   whole / 2);
	if (!err)
		err = limit_choose(initial, opts->initial_bytes,
				   TMK__ENV_INITIAL_BYTES, whole, 0);
	if (!err && *initial == TMK_UNLIMITED)
		err = tmk__error(-EINVAL,
				 "%s or initial_bytes is max: that much cannot "
				 "be reserved",
				 tmk__env_name(TMK__ENV_INITIAL_BYTES));
	return err;
}

static int opts_take(struct tmk_open_opts *out,
		     const struct tmk_open_opts *opts)
{
	static const struct tmk_open_opts defaults = TMK_OPEN_OPTS_INIT;
	int err;

	*out = defaults;
	err = tmk__opts_take(out, opts, sizeof(*out), sizeof(*out),
			     "struct tmk_open_opts");
	if (err)
		return err;
	if (out->flags)
		return tmk__error(-EINVAL,
				  "unknown flags %#x in "
				  "struct tmk_open_opts",
				  out->flags);
	if ((unsigned int)out->backend > TMK_BACKEND_USER)
		return tmk__error(-EINVAL, "there is no backend %d",
				  (int)out->backend);
	return 0;
}

/* Which backend, and who says so. */
static enum tmk_backend backend_wanted(char *who, size_t len,
				       const struct tmk_open_opts *opts)
{
	const char *name = tmk__env_name(TMK__ENV_BACKEND);
	const char *value = tmk__env_get(TMK__ENV_BACKEND);
	enum tmk_backend wanted;
	bool known;

	who[0] = '\0';
	if (opts->backend) {
		snprintf(who, len, "the program asks for it; ");
		return opts->backend;
	}
	wanted = (enum tmk_backend)tmk__env_choice(TMK__ENV_BACKEND, &known);
	if (!known)
		snprintf(who, len, "%s=%.40s is none of auto, dev and user; ",
			 name, value);
	else if (wanted != TMK_BACKEND_AUTO)
		snprintf(who, len, "%s=%.40s asks for it; ", name, value);
	return wanted;
}

static int backend_open(struct tmk__device *device,
			const struct tmk_open_opts *opts)
{
	char who[100], why[400];
	int err;

	err = tmk__backend_select(&device->ops, &device->state,
				  backend_wanted(who, sizeof(who), opts),
				  opts->device_path, why, sizeof(why));
	if (err)
		return who[0] ? tmk__error_wrap(err, "%.*s",
						(int)strlen(who) - 2, who) :
				err;
	snprintf(device->reason, sizeof(device->reason), "%s%s", who, why);
	tmk__log(TMK__LOG_INFO, "backend %s: %s", device->ops->name,
		 device->reason);
	return 0;
}

static void log_choose(void)
{
	bool known;
	int level = tmk__env_choice(TMK__ENV_LOG, &known);

	/* Somebody wants to see something: warnings, this one among them. */
	if (!known) {
		tmk__log_set_level(TMK__LOG_WARN);
		tmk__log(TMK__LOG_WARN, "%s=%s is unknown, taking warn",
			 tmk__env_name(TMK__ENV_LOG),
			 tmk__env_get(TMK__ENV_LOG));
		return;
	}
	tmk__log_set_level((enum tmk__log_level)level);
}

/* The library stays open while somebody watches. */
static int watch_begin(void **watch)
{
	struct tmk__device *device;
	int fd = -1;

	if (tmk__device_get(&device))
		return -1;
	if (device->ops->ext_watch_fd)
		fd = device->ops->ext_watch_fd(device->state);
	if (fd < 0)
		tmk__device_put(device);
	else
		*watch = device;
	return fd;
}

static void watch_look(void *watch)
{
	struct tmk__device *device = watch;

	device->ops->ext_watch_look(device->state);
}

static void watch_end(void *watch)
{
	tmk__device_put(watch);
}

static const struct tmk__watch watch = {
	.begin = watch_begin,
	.look = watch_look,
	.end = watch_end,
};

static void wait_choose(uint64_t ms)
{
	tmk__wait_watch(&watch);
	tmk__wait_set((unsigned int)TMK__MIN(ms, UINT32_MAX),
		      tmk__cache_limits);
}

void tmk_wait_set(uint32_t wait_ms)
{
	wait_choose(wait_ms);
}

static int device_make(struct tmk__device **out,
		       const struct tmk_open_opts *given)
{
	struct tmk_open_opts opts;
	struct tmk__device *device;
	struct tmk_limits limits;
	uint64_t initial, wait = 0;
	int err;

	err = opts_take(&opts, given);
	if (!err)
		err = limits_choose(&limits, &initial, &opts);
	if (!err)
		err = tmk__env_bytes(&wait, TMK__ENV_WAIT_MS, 0, 0);
	if (err)
		return err;
	device = tmk__fault("device") ? NULL : calloc(1, sizeof(*device));
	if (!device)
		return tmk__error(-ENOMEM, "no memory to open the library");
	device->refs = 1;
	err = backend_open(device, &opts);
	if (err)
		goto err_free;
	tmk__ledger_set_limits(limits.max_bytes, limits.max_physical_bytes);
	if (tmk__env_get(TMK__ENV_WAIT_MS))
		wait_choose(wait);
	err = initial ? tmk__cache_fill(device, initial) : 0;
	if (err)
		goto err_close;
	*out = device;
	return 0;

err_close:
	device->ops->close(device->state);
err_free:
	free(device);
	return err;
}

/* With device_lock held. */
static int device_make_locked(const struct tmk_open_opts *opts)
{
	log_choose();
	tmk__debug_warn();
	tmk__stats_choose();
	if (fork_err)
		return tmk__error(-fork_err, "cannot prepare for fork(): %s",
				  strerror(fork_err));
	return device_make(&device_open, opts);
}

int tmk_open(const struct tmk_open_opts *opts)
{
	int err = 0;

	pthread_mutex_lock(&device_lock);
	if (!device_open)
		err = device_make_locked(opts);
	else if (opts)
		err = tmk__error(-EBUSY,
				 "the library is open already (backend %s): "
				 "options cannot be given any more",
				 device_open->ops->name);
	if (!err)
		device_opens++;
	pthread_mutex_unlock(&device_lock);
	return err;
}

/**
 * tmk__device_get() - the open library, opened now if it is not
 * @out: it, with a reference
 *
 * Return: 0, or as tmk_open().
 */
int tmk__device_get(struct tmk__device **out)
{
	int err = 0;

	pthread_mutex_lock(&device_lock);
	if (!device_open)
		err = device_make_locked(NULL);
	if (!err) {
		device_open->refs++;
		*out = device_open;
	}
	pthread_mutex_unlock(&device_lock);
	return err;
}

/**
 * tmk__device_put() - give a reference back
 * @device: the library
 */
void tmk__device_put(struct tmk__device *device)
{
	bool last;

	pthread_mutex_lock(&device_lock);
	last = !--device->refs;
	pthread_mutex_unlock(&device_lock);
	if (!last)
		return;
	device->ops->close(device->state);
	free(device);
}

/** tmk__device_ops() - its backend. Return: the backend's operations. */
const struct tmk__backend_ops *tmk__device_ops(const struct tmk__device *device)
{
	return device->ops;
}

/** tmk__device_state() - its backend's state. Return: the state. */
void *tmk__device_state(const struct tmk__device *device)
{
	return device->state;
}

/* What the program still holds, use by use. */
static int close_report(void)
{
	char text[400] = "", bytes[16];
	struct tmk_stats stats;
	size_t len = 0;
	int i;

	tmk__ledger_read(&stats);
	for (i = 0; i < TMK_USE_NR; i++) {
		uint64_t held = stats.by_use[i].current;

		if (!held || i == TMK_USE_CACHE)
			continue;
		tmk_bytes_format(bytes, sizeof(bytes), held);
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s%s of %s", len ? ", " : "", bytes,
					tmk_use_name((enum tmk_use)i));
	}
	if (!len)
		return 0;
	tmk__log(TMK__LOG_WARN, "closed, and still held: %s", text);
	return tmk__error(-EBUSY,
			  "the library is closed, and the program still holds "
			  "%s in %" PRIu64 " regions",
			  text, stats.regions);
}

int tmk_close(void)
{
	struct tmk__device *device = NULL;

	pthread_mutex_lock(&device_lock);
	if (device_opens > 1) {
		device_opens--;
	} else {
		device = device_open;
		device_open = NULL;
		device_opens = 0;
		/* Locked: the next tmk_open() has a reservation of its own. */
		tmk__cache_drop_initial();
	}
	pthread_mutex_unlock(&device_lock);
	if (!device)
		return 0;
	tmk__cache_shut();
	tmk__device_put(device);
	tmk__leaks_report("at tmk_close()");
	return close_report();
}

int tmk_backend_info(struct tmk_backend_info *out)
{
	struct tmk__device *device;
	int err;

	if (!out)
		return tmk__error(-EINVAL,
				  "no struct tmk_backend_info to fill in");
	err = tmk__device_get(&device);
	if (err)
		return err;
	pthread_mutex_lock(&device_lock);
	if (!device->features_known)
		device->ops->features(device->state, &device->features);
	device->features_known = true;
	pthread_mutex_unlock(&device_lock);
	out->backend = device->ops->backend;
	out->name = device->ops->name;
	out->reason = device->reason;
	out->features = device->features.rows;
	out->features_nr = device->features.nr;
	/* The library stays open, so the strings stay. */
	tmk__device_put(device);
	return 0;
}

int tmk_limits_get(struct tmk_limits *out)
{
	struct tmk__device *device;
	struct tmk_stats stats;
	int err;

	if (!out)
		return tmk__error(-EINVAL, "no struct tmk_limits to fill in");
	err = tmk__device_get(&device);
	if (err)
		return err;
	tmk__ledger_read(&stats);
	out->max_bytes = stats.max_bytes;
	out->max_physical_bytes = stats.max_physical_bytes;
	tmk__device_put(device);
	return 0;
}

/* The process's own, which have room for what they allow less what is held. */
static void limits_offer(struct tmk_limits_effective *out)
{
	struct tmk_limit_state own;
	struct tmk_stats stats;

	tmk__ledger_read(&stats);
	tmk__room_set(&own, TMK_LIMIT_PROCESS, stats.total.current,
		      stats.max_bytes, tmk__env_name(TMK__ENV_MAX_BYTES));
	tmk__room_offer(&out->all, &own);
	tmk__room_set(&own, TMK_LIMIT_PROCESS_PHYSICAL, stats.physical.current,
		      stats.max_physical_bytes,
		      tmk__env_name(TMK__ENV_MAX_PHYSICAL_BYTES));
	tmk__room_offer(&out->physical, &own);
}

int tmk_limits_effective(struct tmk_limits_effective *out)
{
	struct tmk_limits_effective limits = { TMK__ROOM_NONE, TMK__ROOM_NONE,
					       TMK__ROOM_NONE };
	struct tmk__device *device;
	int err;

	if (!out)
		return tmk__error(-EINVAL,
				  "no struct tmk_limits_effective to fill in");
	err = tmk__device_get(&device);
	if (err)
		return err;
	limits_offer(&limits);
	err = device->ops->limits(device->state, &limits);
	tmk__device_put(device);
	if (err)
		return err;
	/* What is on all bytes is on those in RAM, too. */
	tmk__room_offer(&limits.physical, &limits.all);
	tmk__room_offer(&limits.pinned, &limits.physical);
	*out = limits;
	return 0;
}

int tmk_limits_set(const struct tmk_limits *limits)
{
	struct tmk__device *device;
	int err;

	if (!limits)
		return tmk__error(-EINVAL, "no struct tmk_limits to set");
	err = tmk__device_get(&device);
	if (err)
		return err;
	tmk__ledger_set_limits(limits->max_bytes, limits->max_physical_bytes);
	/* What is held for nobody counts too: handing it out needs no charge. */
	tmk__cache_limits();
	tmk__device_put(device);
	return 0;
}
