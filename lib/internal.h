/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * What the files of the library know of each other, grouped by file. Nothing
 * here is exported; a leading tmk__ says so where it appears.
 *
 * Layers, each uses those above it only:
 *
 *	base/       errors, environment, sizes, log, /proc and cgroups
 *	ledger      what the process holds, and its limits
 *	backend/    where memory comes from: one table of operations, two sorts
 *	device      the open library: its backend and its limits
 *	region      mapped memory, charged; cache: what tmk_open() reserved
 *	workspace, tensor, blas, stats
 */
#ifndef TMK_INTERNAL_H
#define TMK_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <tmk/tmk.h>

#define TMK__PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define TMK__ALIGN_UP(x, a) \
	(((x) + ((__typeof__(x))(a)-1)) & ~((__typeof__(x))(a)-1))
#define TMK__MIN(a, b) ((a) < (b) ? (a) : (b))
#define TMK__MAX(a, b) ((a) > (b) ? (a) : (b))
#define TMK__ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define TMK__HUGE_BYTES (UINT64_C(2) << 20)

/* base/error.c */
struct tmk__error_state {
	char text[512];
	struct tmk_refusal refusal;
	bool refused; /* @refusal belongs to @text */
	uint64_t refusals; /* that this thread has counted so far */
};

int tmk__error(int err, const char *fmt, ...) TMK__PRINTF(2, 3);
int tmk__error_wrap(int err, const char *fmt, ...) TMK__PRINTF(2, 3);
void tmk__error_append(const char *text);
void tmk__refusal(enum tmk_limit limit, uint64_t asked, uint64_t used,
		  uint64_t max, const char *where);
void tmk__refusal_holders(const struct tmk_refusal *from);
void tmk__error_save(struct tmk__error_state *state);
void tmk__error_restore(const struct tmk__error_state *state);
uint64_t tmk__refusals(void);

/* base/refuse.c */
int tmk__refuse(int err, const char *what, const struct tmk_refusal *refusal);
void tmk__refuse_holders(const struct tmk_refusal *refusal);

/* base/log.c */
enum tmk__log_level {
	TMK__LOG_OFF = 0,
	TMK__LOG_ERROR,
	TMK__LOG_WARN,
	TMK__LOG_INFO,
	TMK__LOG_DEBUG,
};

void tmk__log(enum tmk__log_level level, const char *fmt, ...)
	TMK__PRINTF(2, 3);
void tmk__log_set_level(enum tmk__log_level level);
void tmk__bug(const char *fmt, ...) TMK__PRINTF(1, 2) __attribute__((noreturn));

/* base/env.c */
enum tmk__env {
	TMK__ENV_BACKEND,
	TMK__ENV_BLAS,
	TMK__ENV_DEBUG,
	TMK__ENV_DUMP_ON_OOM,
	TMK__ENV_INITIAL_BYTES,
	TMK__ENV_LOG,
	TMK__ENV_MAX_BYTES,
	TMK__ENV_MAX_PHYSICAL_BYTES,
	TMK__ENV_TMPDIR,
	TMK__ENV_WORKSPACES_DEBUG,
	TMK__ENV_STATS,
	TMK__ENV_WAIT_MS,
	TMK__ENV_NR,
};

const char *tmk__env_name(enum tmk__env env);
const char *tmk__env_get(enum tmk__env env);
int tmk__env_choice(enum tmk__env env, bool *known);
uint32_t tmk__env_list(enum tmk__env env, bool tell);
int tmk__env_bytes(uint64_t *out, enum tmk__env env, uint64_t whole,
		   uint64_t unset);

/* base/opts.c */
int tmk__opts_take(void *out, const void *opts, size_t known, size_t first,
		   const char *what);

/* base/fault.c: in the library that tests link, steps fail when told to */
void tmk__fault_arm(const char *step, unsigned long nth);
void tmk__fault_meanwhile(void (*what)(void));
unsigned long tmk__fault_steps(void);
bool tmk__fault_fired(void);
#ifdef TMK__FAULTS
bool tmk__fault(const char *step);
#else
static inline bool tmk__fault(const char *step)
{
	(void)step;
	return false;
}
#endif

/* base/proc.c */
extern const char *tmk__proc_root;

void tmk__calls_add(unsigned int nr);
uint64_t tmk__calls(void);
int tmk__file_read(char *buf, size_t len, const char *path);
FILE *tmk__file_open(const char *path);
bool tmk__line_value(uint64_t *out, const char *text, const char *key);
int tmk__meminfo(uint64_t *total, uint64_t *available);
uint64_t tmk__memlock_used(void);
uint64_t tmk__page_bytes(void);

/* base/smaps.c */
struct tmk__smaps {
	uint64_t rss;
	uint64_t swap;
	uint64_t huge; /* the part of rss in 2 MiB pages */
	uint64_t locked;
};

int tmk__smaps_read(struct tmk__smaps *out, const void *data, uint64_t bytes);

/* base/tmpfile.c */
int tmk__tmpfile(const char *directory, const char **where);

/* base/cgroup.c */
struct tmk__cgroup_mount {
	char point[512]; /* where cgroup v2 is mounted, "" if nowhere */
	char root[512]; /* which of its groups is seen there, "" for the root */
};

struct tmk__memcg {
	uint64_t max; /* memory.max, TMK_UNLIMITED if there is none */
	uint64_t used; /* without what the kernel can drop at once */
	char path[128];
};

int tmk__cgroup_find(struct tmk__cgroup_mount *out);
int tmk__cgroup_least(struct tmk__memcg *out,
		      const struct tmk__cgroup_mount *mount);
int tmk__cgroup_tightest(struct tmk__memcg *out,
			 const struct tmk__cgroup_mount *mount);
void tmk__cgroup_tmk_path(char *buf, size_t len, uint64_t id);

/* purpose.c */
#define TMK__PURPOSES 254

void tmk__purpose_lock(void);
void tmk__purpose_unlock(void);
uint8_t tmk__purpose_find(const char *name, enum tmk_use use);
void tmk__purpose_add(unsigned int purpose, uint64_t bytes);
void tmk__purpose_sub(unsigned int purpose, uint64_t bytes);
/**
 * struct tmk__lender - who lends out parts of what is charged as cache
 * @lent: fills in how much, by purpose
 */
struct tmk__lender {
	void (*lent)(int64_t *by_purpose);
};

void tmk__purpose_lender(const struct tmk__lender *who);
uint64_t tmk__purpose_read(uint64_t out[TMK__PURPOSES], uint64_t total);
unsigned int tmk__purpose_top(struct tmk_holder *out, unsigned int nr);

/* wait.c */
/**
 * struct tmk__watch - who tells of what other processes give back
 * @begin: hold on to it; a descriptor, readable when there is something new since
 *	the last look, or -1 if there is nobody
 * @look: what happens from now on is new
 * @end: let go of it
 */
struct tmk__watch {
	int (*begin)(void **watch);
	void (*look)(void *watch);
	void (*end)(void *watch);
};

void tmk__wait_set(unsigned int ms, void (*tell)(void));
void tmk__wait_watch(const struct tmk__watch *who);
void tmk__wait_lock(void);
void tmk__wait_unlock(bool child);
unsigned int tmk__wait_busy(void);
void tmk__wait_release(void);
int tmk__wait(int (*attempt)(void *arg), void *arg);

/* ledger.c */
void tmk__ledger_set_limits(uint64_t max, uint64_t physical_max);
bool tmk__ledger_over(void);
int tmk__ledger_charge(enum tmk_kind kind, enum tmk_use use, uint64_t bytes,
		       uint64_t physical);
void tmk__ledger_uncharge(enum tmk_kind kind, enum tmk_use use, uint64_t bytes,
			  uint64_t physical);
int tmk__ledger_charge_physical(enum tmk_kind kind, uint64_t bytes);
void tmk__ledger_uncharge_physical(uint64_t bytes);
void tmk__ledger_move(enum tmk_use from, enum tmk_use to, uint64_t bytes);
void tmk__ledger_region_add(void);
void tmk__ledger_region_remove(void);
void tmk__ledger_read(struct tmk_stats *out);
uint64_t tmk__ledger_total(void);

/* device.c */
struct tmk__device;
struct tmk__backend_ops;

int tmk__device_get(struct tmk__device **out);
void tmk__device_put(struct tmk__device *device);
const struct tmk__backend_ops *tmk__device_ops(const struct tmk__device *device);
void *tmk__device_state(const struct tmk__device *device);

/* region.c */
int tmk__region_opts_check(const struct tmk_region_opts *opts);
int tmk__region_create_for(struct tmk_region **out, size_t bytes,
			   const struct tmk_region_opts *opts,
			   enum tmk_use use);
int tmk__region_create_on(struct tmk_region **out, struct tmk__device *device,
			  size_t bytes, const struct tmk_region_opts *opts,
			  enum tmk_use use);

int tmk__region_create_at(struct tmk_region **out, struct tmk__device *device,
			  void *at, size_t bytes,
			  const struct tmk_region_opts *opts);

/* region_alias.c */
int tmk__region_alias(const struct tmk_region *region, uint64_t offset,
		      uint64_t bytes, void *at);
int tmk__region_unalias(void *at, uint64_t bytes);

/* region_trim.c */
void tmk__region_trim_lock(void);
void tmk__region_trim_unlock(void);

/* cache.c */
/**
 * struct tmk__pool - who else keeps free memory, and must be told of things
 * @drop: give back what is free; true if anything was
 * @limits: the limits have been changed
 * @shut: the library is being closed: give back what is free, from now on too
 * @fork_prepare: be found at rest by a child
 * @fork_parent: go on
 * @fork_child: what was inherited is shared with the parent
 */
struct tmk__pool {
	bool (*drop)(void);
	void (*limits)(void);
	void (*shut)(void);
	void (*fork_prepare)(void);
	void (*fork_parent)(void);
	void (*fork_child)(void);
};

void tmk__cache_pool(const struct tmk__pool *pool);
void tmk__cache_limits(void);
void tmk__cache_shut(void);
void tmk__cache_fork_prepare(void);
void tmk__cache_fork_parent(void);
void tmk__cache_fork_child(void);
int tmk__cache_fill(struct tmk__device *device, uint64_t bytes);
struct tmk_region *tmk__cache_take(const struct tmk_region_opts *opts,
				   uint64_t bytes);
bool tmk__cache_drop(void);
bool tmk__cache_drop_initial(void);

/* stats_print.c */
void tmk__stats_choose(void);

/* kind.c */
enum tmk_kind tmk__kind_for(uint64_t bytes);

/* What is checked and remembered where TMK_DEBUG says so. */
#include "base/debug.h"

#endif /* TMK_INTERNAL_H */
