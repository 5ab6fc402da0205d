// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What a thread has: its workspaces and its scope stack. Made when the thread
 * first creates a workspace or uses a shared one, and ended with it: a destructor
 * of thread-specific data destroys what the thread left, open or not, and closes
 * the shared ones that it has open.
 *
 * After fork() the child has none of it: the parent goes on using the same
 * shared memory, so in the child every workspace of the parent is refused with
 * -EPERM and every tensor in one is stale. Detached tensors and regions stay
 * usable and are shared with the parent. The child may make workspaces of its
 * own. The memory of the parent's stays mapped, and so charged, until the
 * child exits or execs.
 *
 * Lock: threads_lock guards the list of all threads. fork() takes it, then that
 * of the table of workspaces, then that of the tables of handles: handlers run
 * in reverse order of registration, so handle.c registers before this file.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/atfork.h"
#include "internal.h"
#include "ws.h"

#define STACK_NEAR ((uintptr_t)1 << 20)

__thread struct tmk__thread *tmk__self
	__attribute__((tls_model("initial-exec")));

struct tmk__ws tmk__ws_nobody;

__thread struct tmk_workspace_room *tmk_workspace_innermost
	__attribute__((tls_model("initial-exec"))) = (void *)&tmk__ws_nobody;

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static int init_err;
static struct tmk__thread *threads; /* all of them; after fork() also dead */

static void thread_exit(void *arg)
{
	struct tmk__thread *self = arg;

	/* Other destructors of this thread may have run and may still run. */
	tmk__self = self;
	tmk__ws_scopes_leave(self);
	while (self->first)
		tmk__ws_destroy(self->first);
	pthread_mutex_lock(&threads_lock);
	if (self->prev)
		self->prev->next = self->next;
	else
		threads = self->next;
	if (self->next)
		self->next->prev = self->prev;
	pthread_mutex_unlock(&threads_lock);
	if (self->frames != self->frames_inline)
		free(self->frames);
	free(self);
	tmk__self = NULL;
}

static void fork_prepare(void)
{
	pthread_mutex_lock(&threads_lock);
	tmk__ws_table_lock();
}

static void fork_parent(void)
{
	tmk__ws_table_unlock();
	pthread_mutex_unlock(&threads_lock);
}

static void fork_child(void)
{
	tmk__ws_table_disown();
	fork_parent();
	tmk__self = NULL;
	tmk__thread_top_set(NULL);
	pthread_setspecific(key, NULL);
}

TMK__AT_LOAD(THREAD)
static void thread_init(void)
{
	init_err = pthread_key_create(&key, thread_exit);
	if (!init_err)
		init_err =
			pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static void thread_enlist(struct tmk__thread *self)
{
	pthread_mutex_lock(&threads_lock);
	self->next = threads;
	if (threads)
		threads->prev = self;
	threads = self;
	pthread_mutex_unlock(&threads_lock);
}

/**
 * tmk__thread_self() - the calling thread's record, made if need be
 * @out: the record
 *
 * Return: 0, or -ENOMEM with a sentence.
 */
int tmk__thread_self(struct tmk__thread **out)
{
	struct tmk__thread *self = tmk__self;
	int err;

	if (!self) {
		err = tmk__handle_init();
		if (err)
			return err;
		if (!init_err && !tmk__fault("thread"))
			self = calloc(1, sizeof(*self));
		if (!self)
			return tmk__error(-ENOMEM,
					  "no memory for a thread's list of "
					  "workspaces");
		self->frames = self->frames_inline;
		self->room = TMK__FRAMES_INLINE;
		if (pthread_setspecific(key, self)) {
			free(self);
			return tmk__error(-ENOMEM,
					  "no memory for thread-specific data");
		}
		thread_enlist(self);
		tmk__self = self;
	}
	*out = self;
	return 0;
}

/*
 * Is the scope variable of a frame gone without its scope having been ended? It
 * is if it lies below the stack that is in use, or if something else was written
 * over it. Reads the thread's own stack, whatever is there now.
 */
__attribute__((no_sanitize("address", "thread"), noinline)) static bool
guard_is_gone(const struct tmk__frame *frame, uintptr_t here)
{
	const struct tmk_workspace_scope *guard = frame->guard;
	const volatile int *state;

	if (!guard)
		return false;
	/* What is far away is on another stack: nothing can be said of it. */
	if ((uintptr_t)guard < here && here - (uintptr_t)guard < STACK_NEAR)
		return true;
	state = &guard->state;
	return *state != TMK__SCOPE_OPEN;
}

static int refuse_left(const struct tmk__frame *frame)
{
	if (!frame->ws)
		return tmk__error(-EBUSY,
				  "a scope-out was left without being ended "
				  "(by longjmp?): end it with "
				  "tmk_workspace_scope_in()");
	return tmk__error(-EBUSY,
			  "the scope of workspace \"%s\" was left without "
			  "being closed (by longjmp?): close it with "
			  "tmk_workspace_pop()",
			  frame->ws->id);
}

/**
 * tmk__thread_frame_room() - is one more scope allowed, and room for it?
 * @self: the thread
 * @here: the frame of the function that the program called: what the program has
 *	on the stack is above
 *
 * Return: 0; -EBUSY if the innermost scope was left by longjmp(); -ENOMEM; with
 * a sentence.
 */
int tmk__thread_frame_room(struct tmk__thread *self, const void *here)
{
	struct tmk__frame *frames;

	if (self->depth &&
	    guard_is_gone(&self->frames[self->depth - 1], (uintptr_t)here))
		return refuse_left(&self->frames[self->depth - 1]);
	if (self->depth < self->room)
		return 0;
	frames = tmk__fault("frames") ?
			 NULL :
			 malloc(2 * self->room * sizeof(*frames));
	if (!frames)
		return tmk__error(-ENOMEM, "no memory for %u nested scopes",
				  self->depth + 1);
	memcpy(frames, self->frames, self->depth * sizeof(*frames));
	if (self->frames != self->frames_inline)
		free(self->frames);
	self->frames = frames;
	self->room *= 2;
	return 0;
}
