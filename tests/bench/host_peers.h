/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The peers of the benchmarks of the host: other allocators, each with its
 * defaults and told by its environment to keep what it has. They are preloaded,
 * in a process of its own for each.
 */
#ifndef TMK_TESTS_BENCH_HOST_PEERS_H
#define TMK_TESTS_BENCH_HOST_PEERS_H

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "host_util.h"

#define LIBS "/usr/lib/x86_64-linux-gnu/"

/* An allocator: what is preloaded, and how it is told to keep memory. */
struct peer {
	const char *name;
	const char *preload; /* NULL: tmk; "": glibc */
	const char *env[4];
};

static const struct peer peers[] = {
	{ "tmk", NULL, { NULL } },
	{ "glibc", "", { NULL } },
	{ "glibc_tuned",
	  "",
	  { "MALLOC_MMAP_THRESHOLD_=1073741824",
	    "MALLOC_TRIM_THRESHOLD_=17179869184",
	    "MALLOC_TOP_PAD_=268435456" } },
	{ "mimalloc", LIBS "libmimalloc.so.2", { NULL } },
	{ "mimalloc_tuned",
	  LIBS "libmimalloc.so.2",
	  { "MIMALLOC_ALLOW_DECOMMIT=0", "MIMALLOC_PAGE_RESET=0",
	    "MIMALLOC_LARGE_OS_PAGES=1" } },
	{ "jemalloc", LIBS "libjemalloc.so.2", { NULL } },
	{ "jemalloc_tuned",
	  LIBS "libjemalloc.so.2",
	  { "MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always,"
	    "oversize_threshold:0,lg_tcache_max:23" } },
	{ "tcmalloc", LIBS "libtcmalloc_minimal.so.4", { NULL } },
	{ "tcmalloc_tuned",
	  LIBS "libtcmalloc_minimal.so.4",
	  { "TCMALLOC_RELEASE_RATE=0",
	    "TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES=1073741824" } },
};

static inline bool peer_there(const struct peer *peer)
{
	return !peer->preload || !*peer->preload ||
	       !access(peer->preload, R_OK);
}

/* Have malloc() of the peer in what is executed next. */
static inline void peer_set(const struct peer *peer)
{
	size_t i;

	for (i = 0; i < NR(peer->env) && peer->env[i]; i++)
		putenv((char *)peer->env[i]);
	/* Its threads would have glibc's malloc() lock where the others do not. */
	setenv("OPENBLAS_NUM_THREADS", "1", 1);
	if (peer->preload && *peer->preload)
		setenv("LD_PRELOAD", peer->preload, 1);
}

#endif /* TMK_TESTS_BENCH_HOST_PEERS_H */
