// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Waiting for room. A request that a limit refuses may wait until something is
 * given back: in the order of arrival, woken by each release, until its time is
 * up or somebody cancels it. While one waits, later requests queue behind it and
 * nobody keeps free memory.
 *
 * What is given back here is told by the ledger. A limit of a group may have room
 * because of another process: where the module tells of that, whoever was refused
 * with -EDQUOT looks at the figures, tries once more, and when he is the first
 * sleeps on a descriptor that becomes readable with what happens after his look.
 *
 * Lock: wait_lock guards the queue. It is let go of while a waiter tries again.
 */
#define _GNU_SOURCE /* ppoll() */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

/**
 * struct waiter - a request that waits
 * @next: who came after it
 * @cond: signalled when something changes for it
 * @look: something was given back, or it has become the first
 * @cancelled: it is to give up
 * @watch: its hold on who tells of other processes
 * @fds: of that, and what @cond is to who sleeps on it; the first is -1 if there
 *	is none
 */
struct waiter {
	struct waiter *next;
	pthread_cond_t cond;
	bool look;
	bool cancelled;
	void *watch;
	struct pollfd fds[2];
};

static pthread_mutex_t wait_lock = PTHREAD_MUTEX_INITIALIZER;
static struct waiter *first;
static struct waiter **last = &first;
static atomic_uint waiters;
static atomic_uint wait_ms;
static __thread bool trying; /* this thread is the first, and tries again */
static _Atomic(void (*)(void)) changed;
static _Atomic(const struct tmk__watch *) watcher;

/**
 * tmk__wait_set() - how long requests wait
 * @ms: milliseconds; 0: not at all
 * @tell: called when the first one begins to wait and when none does any more
 */
void tmk__wait_set(unsigned int ms, void (*tell)(void))
{
	atomic_store(&changed, tell);
	atomic_store(&wait_ms, ms);
}

/**
 * tmk__wait_watch() - somebody can tell of what other processes give back
 * @who: what to call
 */
void tmk__wait_watch(const struct tmk__watch *who)
{
	atomic_store(&watcher, who);
}

/** tmk__wait_lock() - for fork(): a child finds it free */
void tmk__wait_lock(void)
{
	pthread_mutex_lock(&wait_lock);
}

/** tmk__wait_unlock() - in the parent, and in a child: nobody waits there */
void tmk__wait_unlock(bool child)
{
	if (child) {
		first = NULL;
		last = &first;
		atomic_store(&waiters, 0);
	}
	pthread_mutex_unlock(&wait_lock);
}

/** tmk__wait_busy() - how many wait? Return: their number. */
unsigned int tmk__wait_busy(void)
{
	return atomic_load(&waiters);
}

/* Under wait_lock. */
static void wake(struct waiter *w)
{
	uint64_t one = 1;

	pthread_cond_signal(&w->cond);
	/* Full is as good as written. */
	if (w->fds[0].fd >= 0 && write(w->fds[1].fd, &one, sizeof(one)) < 0)
		return;
}

/* Under wait_lock. */
static void wake_first(void)
{
	if (!first)
		return;
	first->look = true;
	wake(first);
}

/**
 * tmk__wait_release() - something was given back: the first one tries again
 *
 * What the first one takes back of an attempt that failed is nothing new to it.
 */
void tmk__wait_release(void)
{
	if (!atomic_load(&waiters) || trying)
		return;
	pthread_mutex_lock(&wait_lock);
	wake_first();
	pthread_mutex_unlock(&wait_lock);
}

unsigned int tmk_wait_cancel(void)
{
	struct waiter *w;
	unsigned int nr = 0;

	pthread_mutex_lock(&wait_lock);
	for (w = first; w; w = w->next) {
		w->cancelled = true;
		wake(w);
		nr++;
	}
	pthread_mutex_unlock(&wait_lock);
	return nr;
}

/* Was it a limit, and may something that is given back help? */
static bool worth_waiting(int err)
{
	struct tmk_refusal r;

	if ((err != -ENOMEM && err != -EDQUOT) || tmk_refusal_last(&r))
		return false;
	return r.limit != TMK_LIMIT_HUGE && r.asked <= r.max;
}

static void deadline_set(struct timespec *end, unsigned int ms)
{
	clock_gettime(CLOCK_MONOTONIC, end);
	end->tv_sec += ms / 1000;
	end->tv_nsec += (long)(ms % 1000) * 1000000;
	if (end->tv_nsec >= 1000000000) {
		end->tv_nsec -= 1000000000;
		end->tv_sec++;
	}
}

static void enqueue(struct waiter *w)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->cond, &attr);
	pthread_condattr_destroy(&attr);
	*last = w;
	last = &w->next;
	atomic_fetch_add(&waiters, 1);
}

static void dequeue(struct waiter *w)
{
	struct waiter **at = &first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (last == &w->next)
		last = at;
	atomic_fetch_sub(&waiters, 1);
	/* There may be room for the next one, too. */
	wake_first();
	pthread_cond_destroy(&w->cond);
}

/* Not under wait_lock, as nothing of watching is. */
static void watch_begin(struct waiter *w)
{
	const struct tmk__watch *who = atomic_load(&watcher);
	int event, fd;

	if (!who || w->watch)
		return;
	tmk__calls_add(2);
	event = tmk__fault("eventfd") ? -1 :
					eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fd = event < 0 ? -1 : who->begin(&w->watch);
	if (fd < 0) {
		if (event >= 0)
			close(event);
		return;
	}
	pthread_mutex_lock(&wait_lock);
	w->fds[1] = (struct pollfd){ .fd = event, .events = POLLIN };
	w->fds[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
	/* It has been refused before it began to watch. */
	w->look = true;
	pthread_mutex_unlock(&wait_lock);
}

/* Out of the queue, so that nobody wakes it any more. */
static void watch_end(struct waiter *w)
{
	if (!w->watch)
		return;
	close(w->fds[1].fd);
	atomic_load(&watcher)->end(w->watch);
}

/* Until woken from here or from elsewhere. Under wait_lock, not while asleep. */
static int sleep_watching(struct waiter *w, const struct timespec *end)
{
	struct pollfd fds[2] = { w->fds[0], w->fds[1] };
	struct timespec left;
	uint64_t count;
	int nr;

	pthread_mutex_unlock(&wait_lock);
	clock_gettime(CLOCK_MONOTONIC, &left);
	left.tv_sec = end->tv_sec - left.tv_sec;
	left.tv_nsec = end->tv_nsec - left.tv_nsec;
	if (left.tv_nsec < 0) {
		left.tv_nsec += 1000000000;
		left.tv_sec--;
	}
	tmk__calls_add(2);
	nr = left.tv_sec < 0 ? 0 : ppoll(fds, 2, &left, NULL);
	if (nr > 0 && fds[1].revents && read(fds[1].fd, &count, 8) < 0)
		nr = 1;
	pthread_mutex_lock(&wait_lock);
	if (nr > 0 && fds[0].revents)
		w->look = true;
	return nr ? 0 : ETIMEDOUT;
}

/* Until it is this one's turn. Return: 0, -ETIMEDOUT or -ECANCELED. */
static int turn(struct waiter *w, const struct timespec *end)
{
	int err = 0;

	while (!w->cancelled && !(w == first && w->look)) {
		if (err)
			return -ETIMEDOUT;
		err = w == first && w->fds[0].fd >= 0 ?
			      sleep_watching(w, end) :
			      pthread_cond_timedwait(&w->cond, &wait_lock, end);
	}
	return w->cancelled ? -ECANCELED : 0;
}

static int wait_turns(struct waiter *w, unsigned int ms,
		      const struct tmk__error_state *before,
		      int (*attempt)(void *arg), void *arg, int err)
{
	struct timespec end;
	int why;

	deadline_set(&end, ms);
	for (;;) {
		why = turn(w, &end);
		if (why == -ECANCELED)
			return tmk__error(why, "cancelled while it waited for "
					       "room");
		if (why && err)
			return tmk__error_wrap(err, "waited for %u ms", ms);
		w->look = false;
		pthread_mutex_unlock(&wait_lock);
		tmk__error_restore(before);
		if (w->watch)
			atomic_load(&watcher)->look(w->watch);
		trying = true;
		err = attempt(arg);
		trying = false;
		if (err == -EDQUOT && !why)
			watch_begin(w);
		pthread_mutex_lock(&wait_lock);
		if (why || !worth_waiting(err))
			return err;
	}
}

/**
 * tmk__wait() - make a request, and wait for room if need be
 * @attempt: makes it; leaves nothing behind if it is refused
 * @arg: for @attempt
 *
 * The caller may hold no lock.
 *
 * Return: what @attempt returned at last; -ECANCELED.
 */
int tmk__wait(int (*attempt)(void *arg), void *arg)
{
	unsigned int ms = atomic_load(&wait_ms);
	void (*tell)(void);
	struct tmk__error_state before;
	struct waiter w = { .fds = { { .fd = -1 }, { .fd = -1 } } };
	bool alone;
	int err = 0;

	tell = atomic_load(&changed);
	tmk__error_save(&before);
	if (!ms || !tmk__wait_busy()) {
		err = attempt(arg);
		if (!ms || !worth_waiting(err))
			return err;
	}
	pthread_mutex_lock(&wait_lock);
	alone = !first;
	enqueue(&w);
	/* What is free in caches may be enough: it is given back now. */
	w.look = true;
	pthread_mutex_unlock(&wait_lock);
	if (alone && tell)
		tell();
	pthread_mutex_lock(&wait_lock);
	err = wait_turns(&w, ms, &before, attempt, arg, err);
	dequeue(&w);
	alone = !first;
	pthread_mutex_unlock(&wait_lock);
	watch_end(&w);
	if (alone && tell)
		tell();
	return err;
}
