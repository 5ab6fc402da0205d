// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * What two threads do with the allocator that is measured: each for itself, and one
 * freeing what the other has allocated.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "alloc_work.h"

/* What each thread does: long enough for the scheduler to give it a processor. */
#define PAIRS 1000000
#define STEPS 1000

static void *work_pairs(void *arg)
{
	long i;

	(void)arg;
	for (i = 0; i < PAIRS; i++) {
		char *p = get(sizes[i % 9]);

		*(volatile char *)p = 1;
		put(p);
	}
	return NULL;
}

static void *work_trace(void *arg)
{
	int i;

	for (i = 0; i < STEPS; i++)
		replay(BARE, arg, 8);
	return NULL;
}

/* What a thread does, and the processor time that it took. */
struct job {
	void *(*work)(void *arg);
	char **arg;
	double cpu;
};

static void *job_run(void *arg)
{
	struct job *job = arg;
	double start = cpu_now();

	job->work(job->arg);
	job->cpu = cpu_now() - start;
	return NULL;
}

/* The time of so many threads, and the processor time of the slowest. */
static void work_time(int threads, void *(*work)(void *), double *wall,
		      double *cpu)
{
	struct job jobs[2] = { { work, blocks[0], 0 }, { work, blocks[1], 0 } };
	pthread_t thread[2];
	double start = now();
	int i;

	for (i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, job_run, &jobs[i]))
			die("no thread");
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	*wall = now() - start;
	*cpu = jobs[0].cpu > jobs[1].cpu ? jobs[0].cpu : jobs[1].cpu;
}

static void least(double *of, double value)
{
	if (!(*of > 0) || value < *of)
		*of = value;
}

/*
 * What two threads do in the time in which one does 1, and the same in processor
 * time, which has no waiting in it. The least times count: others who want the
 * processors only make them longer.
 */
static void scale(const char *name, void *(*work)(void *))
{
	double wall[3] = { 0 }, cpu[3] = { 0 }, w, c;
	int round, threads;

	work_time(2, work, &w, &c);
	for (round = 0; round < 7; round++) {
		for (threads = 1; threads <= 2; threads++) {
			work_time(threads, work, &w, &c);
			least(&wall[threads], w);
			least(&cpu[threads], c);
		}
	}
	printf("scale_2_%s %.3f\n", name, 2 * wall[1] / wall[2]);
	printf("scale_2_cpu_%s %.3f\n", name, 2 * cpu[1] / cpu[2]);
}

void scale_pairs(void)
{
	scale("pairs", work_pairs);
}

void scale_trace(const char *dir, const char *file)
{
	trace_load(dir, file);
	if (trace->peak < 100000000)
		scale(trace->name, work_trace);
}

static _Atomic(char *) ring[256];

static void *taker(void *arg)
{
	long i, n = *(long *)arg;
	char *p;

	for (i = 0; i < n; i++) {
		while (!(p = atomic_exchange(&ring[i % NR(ring)], NULL)))
			sched_yield();
		put(p);
	}
	return NULL;
}

static double hand_over(long n)
{
	pthread_t thread;
	double start = now();
	long i;

	if (pthread_create(&thread, NULL, taker, &n))
		die("no thread");
	for (i = 0; i < n; i++) {
		char *p = get(i & 1 ? 4096 : 65536);

		*(volatile char *)p = 1;
		while (atomic_load(&ring[i % NR(ring)]))
			sched_yield();
		atomic_store(&ring[i % NR(ring)], p);
	}
	pthread_join(thread, NULL);
	return (now() - start) / (double)n;
}

double handover(void)
{
	double time = 0;
	int i;

	hand_over(50000);
	for (i = 0; i < 7; i++)
		least(&time, hand_over(50000));
	return time;
}
