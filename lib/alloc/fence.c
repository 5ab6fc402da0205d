// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Blocks that are freed when something else is done with them: a device, another
 * thread, an input or output. A fence stands for that; it passes when the
 * program says so, or when a descriptor (an eventfd) becomes readable. Until
 * then its blocks are charged, under the purpose "deferred", and nobody's.
 *
 * A fence that the program signals frees its blocks in the thread that does so.
 * Descriptors are watched by one thread of the library, which there is only
 * while there is something to watch.
 *
 * Lock: fence_lock guards fences, their lists and the list of those that are
 * watched. It comes before grow_lock and heap_lock. A child has the fences of
 * its parent, and no thread that watches until it gives it something to watch.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tcache.h"

/**
 * struct pending - a block that waits for its fence
 * @next: in the fence's list
 * @slot: the block
 * @bytes: how large it is
 */
struct pending {
	struct pending *next;
	struct tmk__slot slot;
	uint64_t bytes;
};

/**
 * struct tmk_fence - a fence
 * @refs: the program's, and one while it is watched
 * @fd: the descriptor, -1 for none
 * @passed: blocks are freed at once
 * @blocks: what waits
 * @next: of those that are watched
 */
struct tmk_fence {
	unsigned int refs;
	int fd;
	bool passed;
	struct pending *blocks;
	struct tmk_fence *next;
};

static pthread_mutex_t fence_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fence_done;
static pthread_once_t fence_once = PTHREAD_ONCE_INIT;
static struct tmk_fence *watched;
static unsigned int watched_nr;
static size_t pending_nr;
static bool watching; /* there is a thread */
static int wake_fd = -1; /* something else is to be watched */

static void fence_ready(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&fence_done, &attr);
	pthread_condattr_destroy(&attr);
}

/** tmk__fence_lock() - for fork(): before the other locks */
void tmk__fence_lock(void)
{
	pthread_once(&fence_once, fence_ready);
	pthread_mutex_lock(&fence_lock);
}

/** tmk__fence_unlock() - in the parent, and in a child, which has no thread */
void tmk__fence_unlock(bool child)
{
	if (child && wake_fd >= 0) {
		close(wake_fd);
		wake_fd = -1;
	}
	if (child)
		watching = false;
	pthread_mutex_unlock(&fence_lock);
}

static unsigned int purpose(void)
{
	return tmk__purpose_find("deferred", TMK_USE_GENERAL);
}

/* Blocks are nobody's any more. */
static void blocks_free(struct pending *list)
{
	unsigned int deferred = purpose();
	struct pending *next;
	bool tight;

	tmk__heap_lock();
	for (next = list; next; next = next->next) {
		tmk__tcache_count(deferred, -(int64_t)next->bytes);
		if (tmk__debug())
			tmk__checked_give(&next->slot, next->bytes);
		else
			tmk__slot_give(&next->slot);
	}
	tight = tmk__heap_tight();
	tmk__heap_unlock();
	for (; list; list = next) {
		next = list->next;
		free(list);
	}
	if (tight)
		tmk__trim_all(0);
}

static void fence_drop(struct tmk_fence *fence)
{
	if (--fence->refs)
		return;
	if (fence->fd >= 0)
		close(fence->fd);
	free(fence);
}

static void unwatch(struct tmk_fence *fence)
{
	struct tmk_fence **at = &watched;

	while (*at && *at != fence)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = fence->next;
	watched_nr--;
	fence_drop(fence);
}

/* Under fence_lock. */
static void fence_pass(struct tmk_fence *fence)
{
	struct pending *list = fence->blocks, *p;

	fence->passed = true;
	fence->blocks = NULL;
	for (p = list; p; p = p->next)
		pending_nr--;
	if (list)
		blocks_free(list);
	unwatch(fence);
	if (!pending_nr)
		pthread_cond_broadcast(&fence_done);
}

/* Look at the descriptors for as long; under fence_lock, let go of meanwhile. */
static void look(int timeout)
{
	struct tmk_fence *fence, *next;
	struct pollfd *fds;
	nfds_t nr = 0, i;
	uint64_t count;

	fds = calloc(watched_nr + 1, sizeof(*fds));
	if (!fds)
		return;
	fds[nr++] = (struct pollfd){ wake_fd, POLLIN, 0 };
	for (fence = watched; fence; fence = fence->next)
		fds[nr++] = (struct pollfd){ fence->fd, POLLIN, 0 };
	pthread_mutex_unlock(&fence_lock);
	tmk__calls_add(1);
	(void)poll(fds, nr, timeout);
	pthread_mutex_lock(&fence_lock);
	if (fds[0].revents && timeout)
		(void)!read(wake_fd, &count, sizeof(count));
	for (i = 1; i < nr; i++) {
		for (fence = watched; fds[i].revents && fence; fence = next) {
			next = fence->next;
			if (fence->fd == fds[i].fd)
				fence_pass(fence);
		}
	}
	free(fds);
}

static void *watch_thread(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&fence_lock);
	while (watched)
		look(-1);
	watching = false;
	pthread_mutex_unlock(&fence_lock);
	return NULL;
}

/* Have somebody look at the descriptors. Under fence_lock. */
static int watch_start(void)
{
	sigset_t all, before;
	pthread_t thread;
	int err;

	if (wake_fd < 0)
		wake_fd = tmk__fault("eventfd") ?
				  -1 :
				  eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0)
		return tmk__error(-errno, "cannot make an eventfd: %s",
				  strerror(errno));
	if (watching) {
		(void)eventfd_write(wake_fd, 1);
		return 0;
	}
	/* Signals are the program's affair. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = tmk__fault("thread") ?
		      ENOMEM :
		      pthread_create(&thread, NULL, watch_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return tmk__error(-err, "no thread to watch fences: %s",
				  strerror(err));
	pthread_detach(thread);
	watching = true;
	return 0;
}

int tmk_fence_create(struct tmk_fence **out, int fd)
{
	struct tmk_fence *fence;

	if (!out)
		return tmk__error(-EINVAL, "nowhere to put the fence");
	fence = tmk__fault("fence") ? NULL : calloc(1, sizeof(*fence));
	if (!fence)
		return tmk__error(-ENOMEM, "no memory for a fence");
	fence->refs = 1;
	fence->fd = -1;
	if (fd >= 0) {
		tmk__calls_add(1);
		fence->fd = tmk__fault("dup") ? -1 :
						fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (fence->fd < 0) {
			int err = tmk__error(-errno,
					     "cannot watch descriptor %d: %s",
					     fd, strerror(errno));

			free(fence);
			return err;
		}
	}
	*out = fence;
	return 0;
}

static int watch(struct tmk_fence *fence)
{
	struct tmk_fence *f;
	int err;

	for (f = watched; f; f = f->next)
		if (f == fence)
			return 0;
	fence->next = watched;
	watched = fence;
	watched_nr++;
	fence->refs++;
	err = watch_start();
	if (err)
		unwatch(fence);
	return err;
}

/* Under fence_lock. @stack: of the call. */
static int defer(struct pending *p, void *ptr, struct tmk_fence *fence,
		 uint32_t stack)
{
	int err = 0;

	if (fence->fd >= 0)
		err = watch(fence);
	if (err)
		return err;
	tmk__heap_lock();
	err = tmk__debug() ?
		      tmk__checked_retire(&p->slot, &p->bytes, ptr, stack) :
		      tmk__block_retire(&p->slot, &p->bytes, ptr);
	if (!err)
		tmk__tcache_count(purpose(), (int64_t)p->bytes);
	tmk__heap_unlock();
	if (err)
		return err;
	p->next = fence->blocks;
	fence->blocks = p;
	pending_nr++;
	return 0;
}

int tmk_free_after(void *ptr, struct tmk_fence *fence)
{
	uint32_t stack = tmk__stack_take();
	struct pending *p;
	int err;

	if (!ptr)
		return 0;
	if (!fence)
		return tmk__error(-EINVAL, "there is no fence to wait for");
	p = tmk__fault("pending") ? NULL : calloc(1, sizeof(*p));
	if (!p)
		return tmk__error(-ENOMEM, "no memory to free a block later");
	tmk__fence_lock();
	if (fence->passed)
		err = 1;
	else
		err = defer(p, ptr, fence, stack);
	pthread_mutex_unlock(&fence_lock);
	if (err)
		free(p);
	return err == 1 ? tmk_free(ptr) : err;
}

void tmk_fence_signal(struct tmk_fence *fence)
{
	tmk__fence_lock();
	fence_pass(fence);
	pthread_mutex_unlock(&fence_lock);
}

void tmk_fence_put(struct tmk_fence *fence)
{
	if (!fence)
		return;
	tmk__fence_lock();
	/* Nobody could signal it any more. */
	if (fence->refs == 1 && fence->blocks)
		fence_pass(fence);
	fence_drop(fence);
	pthread_mutex_unlock(&fence_lock);
}

int tmk_drain(uint32_t timeout_ms)
{
	struct timespec end;
	size_t left;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_ms / 1000;
	end.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec++;
	}
	tmk__fence_lock();
	if (watched)
		look(0);
	while (pending_nr && !err)
		err = pthread_cond_timedwait(&fence_done, &fence_lock, &end);
	left = pending_nr;
	pthread_mutex_unlock(&fence_lock);
	if (left)
		return tmk__error(-ETIMEDOUT,
				  "%zu blocks still wait for their fences after "
				  "%u ms",
				  left, timeout_ms);
	return 0;
}

/** tmk__fence_shut() - the library is being closed: free what can be freed */
void tmk__fence_shut(void)
{
	tmk__fence_lock();
	if (watched)
		look(0);
	pthread_mutex_unlock(&fence_lock);
}
