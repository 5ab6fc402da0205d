/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The library's one instance in a process: which backend it uses, the limits
 * it keeps, and the ledger behind them.
 *
 *	struct tmk_open_opts opts = TMK_OPEN_OPTS_INIT;
 *
 *	opts.max_bytes = 1UL << 30;
 *	if (tmk_open(&opts))
 *		errx(1, "%s", tmk_error_last());
 *	...
 *	tmk_close();
 *
 * Calling tmk_open() is optional: the first call that needs memory opens the
 * library with the defaults and the environment. Options given in a program
 * win over the environment, the environment over the defaults.
 */
#ifndef TMK_DEVICE_H
#define TMK_DEVICE_H

#include <tmk/base.h>

/* Where memory comes from. */
enum tmk_backend {
	TMK_BACKEND_AUTO = 0, /* DEV where it works, else USER */
	TMK_BACKEND_DEV, /* /dev/tmk: the kernel accounts and enforces */
	TMK_BACKEND_USER, /* memfd and mlock: the process accounts */
};

/**
 * struct tmk_open_opts - how to open the library
 * @opts_size: sizeof(struct tmk_open_opts), set by TMK_OPEN_OPTS_INIT
 * @backend: the backend; environment TMK_BACKEND=auto|dev|user
 * @flags: must be 0
 * @max_bytes: process limit on all bytes, 0 = TMK_MAX_BYTES or half of what the
 *	process may use (RAM and every memory.max above it)
 * @max_physical_bytes: process limit on bytes that occupy RAM, 0 =
 *	TMK_MAX_PHYSICAL_BYTES or the same default
 * @initial_bytes: reserved and populated by tmk_open(), 0 = TMK_INITIAL_BYTES
 *	or nothing: one huge region, handed out whole to the first huge region
 *	that would use at least 7/8 of it, and given back before anything is
 *	refused
 * @device_path: the device node, NULL = /dev/tmk
 */
struct tmk_open_opts {
	size_t opts_size;
	enum tmk_backend backend;
	uint32_t flags;
	uint64_t max_bytes;
	uint64_t max_physical_bytes;
	uint64_t initial_bytes;
	const char *device_path;
};
#ifdef __cplusplus
static inline struct tmk_open_opts tmk__open_opts_init(void)
{
	struct tmk_open_opts opts = {};

	opts.opts_size = sizeof(opts);
	return opts;
}
#define TMK_OPEN_OPTS_INIT tmk__open_opts_init()
#else
#define TMK_OPEN_OPTS_INIT                                \
	{                                                 \
		.opts_size = sizeof(struct tmk_open_opts) \
	}
#endif

/**
 * tmk_open() - open the library for this process
 * @opts: options, or NULL for defaults and environment
 *
 * Opening again with NULL counts and needs another tmk_close(). Thread-safe.
 *
 * After fork() the child's library is open as the parent's was; what it inherits
 * is mapped in both and counted by both, and the limits are each one's own. The
 * reservation of @initial_bytes stays with the parent.
 *
 * Return: 0; -EBUSY if it is open and @opts is not NULL; -ENODEV or -EACCES if
 * the backend that was asked for cannot be used; -EINVAL for bad options or
 * environment values of a limit (never ignored); -EDQUOT or -ENOMEM if
 * @initial_bytes could not be had; -ENOMEM.
 */
TMK_API TMK_MUST_CHECK int tmk_open(const struct tmk_open_opts *opts);

/**
 * tmk_close() - undo one tmk_open()
 *
 * The last one gives back what the library itself holds. Memory that the
 * program still holds stays valid and charged until it is given back.
 *
 * Return: 0, also if the library is not open; -EBUSY (with a sentence naming how
 * much of what) if the program still holds memory: it is closed all the same.
 */
TMK_API int tmk_close(void);

/* One row of tmk_backend_info: something a backend can or cannot do. */
struct tmk_backend_feature {
	const char *name; /* "cgroup_limits", "huge", "dmabuf", ... */
	bool available;
	const char *reason; /* why, or why not: a short sentence */
};

/**
 * struct tmk_backend_info - which backend runs, and what it can do
 * @backend: TMK_BACKEND_DEV or TMK_BACKEND_USER
 * @name: "dev" or "user"
 * @reason: why this one was chosen
 * @features: the rows
 * @features_nr: how many
 */
struct tmk_backend_info {
	enum tmk_backend backend;
	const char *name;
	const char *reason;
	const struct tmk_backend_feature *features;
	size_t features_nr;
};

/**
 * tmk_backend_info() - ask about the backend; opens the library if need be
 * @out: filled in; its strings live until tmk_close()
 *
 * Return: 0 or as tmk_open().
 */
TMK_API int tmk_backend_info(struct tmk_backend_info *out);

/**
 * struct tmk_limits - the process limits
 * @max_bytes: on all bytes; TMK_UNLIMITED for none
 * @max_physical_bytes: on bytes that occupy RAM
 */
struct tmk_limits {
	uint64_t max_bytes;
	uint64_t max_physical_bytes;
};

/** tmk_limits_get() - the process limits in force. Return: 0 or as tmk_open() */
TMK_API int tmk_limits_get(struct tmk_limits *out);

/**
 * tmk_limits_set() - change the process limits, also below current use
 * @limits: the new ones; only later requests feel them, and what is held for
 *	nobody is given back if it is more
 *
 * Return: 0 or as tmk_open().
 */
TMK_API int tmk_limits_set(const struct tmk_limits *limits);

/**
 * struct tmk_limit_state - a limit, and the room that it leaves
 * @limit: which; TMK_LIMIT_NONE if nothing limits
 * @max: its bytes; TMK_UNLIMITED if nothing limits
 * @used: bytes in use under it, whoever has them
 * @room: bytes that it would still grant; TMK_UNLIMITED if nothing limits
 * @where: the cgroup's path, or the variable of a limit of this process; "" for
 *	the machine
 */
struct tmk_limit_state {
	enum tmk_limit limit;
	uint64_t max;
	uint64_t used;
	uint64_t room;
	char where[128];
};

/**
 * struct tmk_limits_effective - the limits that requests meet first here
 * @all: on all bytes: what binds file regions
 * @physical: on those that occupy RAM, or on all bytes if that is tighter: what
 *	binds huge regions
 * @pinned: the same with RLIMIT_MEMLOCK where it binds: what binds pinned regions
 */
struct tmk_limits_effective {
	struct tmk_limit_state all;
	struct tmk_limit_state physical;
	struct tmk_limit_state pinned;
};

/**
 * tmk_limits_effective() - of all limits that apply, those with the least room
 * @out: filled in
 *
 * They are the process's own, tmk's on the cgroup and its ancestors (with the
 * module), every memory.max above the process, RLIMIT_MEMLOCK (without the module)
 * and the machine's memory. Others may take the room before it is used. The room
 * under memory.max is less what the kernel needs to keep track of memory. What
 * the library keeps for nobody is in use, and yet given back before anything is
 * refused: tmk_trim() makes it room. Pools of hugetlb pages are not looked at.
 *
 * Return: 0; what reading /proc/meminfo failed with; or as tmk_open().
 */
TMK_API int tmk_limits_effective(struct tmk_limits_effective *out);

/**
 * tmk_wait_set() - have requests that a limit refuses wait for room
 * @wait_ms: how long each waits at most; 0, as it is at first, not at all;
 *	environment TMK_WAIT_MS
 *
 * Requests wait in the order in which they came, each is woken by what this
 * process gives back, and is refused when its time is up. Where the module's limit
 * of a cgroup refused, what other processes give back wakes, too, and so does a
 * higher limit. While one waits, later ones queue behind it. What could never be
 * had is refused at once.
 */
TMK_API void tmk_wait_set(uint32_t wait_ms);

/**
 * tmk_wait_cancel() - every request that waits now is refused with -ECANCELED
 *
 * Return: how many there are.
 */
TMK_API unsigned int tmk_wait_cancel(void);

#endif /* TMK_DEVICE_H */
