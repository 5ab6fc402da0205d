// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * digits: trains a 64-128-64-10 network on real handwritten digits, all of its
 * memory from tmk.
 *
 * What lives on (images, weights, momentum) is in regions. What one iteration
 * needs is allocated in a workspace: the first iteration is allocated beside
 * it, from then on the workspace knows its size, and an iteration takes no page
 * fault, no system call of tmk and no memory beside the workspace. That is
 * counted around the warmed-up epochs and said at the end.
 *
 * The figures are the same in every run and on every backend: fixed seeds, and
 * one thread and one set of kernels of OpenBLAS (see settle_blas()).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "digits_job.h"

static volatile sig_atomic_t stop; /* SIGINT or SIGTERM arrived */

static void on_signal(int nr)
{
	(void)nr;
	stop = 1;
}

int digits_fail(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("digits: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	putc('\n', stderr);
	return -1;
}

/*
 * OpenBLAS reads its environment when it is loaded, which is before main(): so
 * start again with it set. Kernels for another processor round otherwise, and
 * figures that differ between two machines would be of no use to compare them;
 * these run on every x86-64. Whoever sets the variables has it his way.
 */
static void settle_blas(char **argv)
{
	bool again = !getenv("OPENBLAS_NUM_THREADS");

	setenv("OPENBLAS_NUM_THREADS", "1", 0);
#ifdef __x86_64__
	again |= !getenv("OPENBLAS_CORETYPE");
	setenv("OPENBLAS_CORETYPE", "Nehalem", 0);
#endif
	if (!again)
		return;
	execv("/proc/self/exe", argv);
	digits_fail("cannot start again with OPENBLAS_NUM_THREADS=1 (%s): figures may differ",
		    strerror(errno));
}

/* Everything that must stay flat in a warmed-up loop. */
static int read_counters(struct digits_counters *out,
			 const struct digits_job *job)
{
	struct tmk_stats stats = { .stats_size = sizeof(stats) };
	struct tmk_workspace_info ws;
	struct rusage usage;

	if (tmk_stats_snapshot(&stats) || tmk_workspace_info(&ws, job->ws))
		return digits_fail("%s", tmk_error_last());
	getrusage(RUSAGE_SELF, &usage);
	out->faults = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
	out->calls = stats.backend_calls;
	out->spills = ws.spilled_total;
	return 0;
}

/* Copy a batch out of the images, in the order of this epoch. */
static int gather(struct digits_batch *out, const struct digits_job *job,
		  size_t first, size_t nr)
{
	const int32_t *order = tmk_tensor_data(job->data.order);
	const float *images = tmk_tensor_data(job->data.images);
	const int32_t *labels = tmk_tensor_data(job->data.labels);
	int64_t shape[2] = { (int64_t)nr, DIGITS_PIXELS };
	int32_t *to_label;
	float *to;
	size_t i;

	if (tmk_tensor_create(&out->images, TMK_F32, 2, shape) ||
	    tmk_tensor_create(&out->labels, TMK_I32, 1, shape))
		return digits_fail("%s", tmk_error_last());
	to = tmk_tensor_data(out->images);
	to_label = tmk_tensor_data(out->labels);
	for (i = 0; i < nr; i++) {
		size_t from = (size_t)order[first + i];

		memcpy(to + i * DIGITS_PIXELS, images + from * DIGITS_PIXELS,
		       DIGITS_PIXELS * sizeof(*to));
		to_label[i] = labels[from];
	}
	return 0;
}

/*
 * One iteration: images @first to @first + @nr, learned from if they are not
 * held out. Everything that it makes is in the open workspace.
 */
static int iterate(struct digits_job *job, size_t first, size_t nr)
{
	struct digits_epoch *epoch = &job->epoch;
	size_t all = job->data.train_nr, right;
	struct digits_batch batch;
	struct digits_pass pass;
	float loss, rate;

	if (gather(&batch, job, first, nr) ||
	    digits_net_forward(&pass, &job->net, batch.images) ||
	    digits_net_right(&right, &pass, batch.labels))
		return -1;
	if (first >= all) {
		epoch->held_right += right;
		return 0;
	}
	/* The rate sinks to nothing, so that the end is a calm one. */
	rate = (float)(job->opts.rate *
		       (1 - (epoch->nr - 1 + (double)first / (double)all) /
				    job->opts.epochs));
	if (digits_net_learn(&loss, &job->net, &pass, batch.labels, rate))
		return -1;
	epoch->right += right;
	epoch->loss += loss * (double)nr / (double)all;
	epoch->iterations++;
	return 0;
}

/* Images @first to @end in batches, each in a scope of the workspace. */
static int run_batches(struct digits_job *job, size_t first, size_t end)
{
	size_t nr;
	int err = 0;

	for (; !err && first < end; first += nr) {
		nr = end - first < job->opts.batch ? end - first :
						     job->opts.batch;
		if (tmk_workspace_push(job->ws))
			return digits_fail("%s", tmk_error_last());
		err = iterate(job, first, nr);
		/* Here the first iteration's need becomes the workspace. */
		if (tmk_workspace_pop(job->ws) && !err)
			err = digits_fail("%s", tmk_error_last());
	}
	return err;
}

/* One epoch; the counters are read around it, nothing is printed inside. */
static int run_epoch(struct digits_job *job, struct digits_random *random)
{
	struct digits_epoch *epoch = &job->epoch;
	struct digits_counters before, after;
	unsigned int nr = epoch->nr + 1;

	memset(epoch, 0, sizeof(*epoch));
	epoch->nr = nr;
	if (read_counters(&before, job))
		return -1;
	digits_shuffle(tmk_tensor_data(job->data.order), job->data.train_nr,
		       random);
	if (run_batches(job, 0, job->data.train_nr) ||
	    run_batches(job, job->data.train_nr, job->data.nr) ||
	    read_counters(&after, job))
		return -1;
	epoch->counters.faults = after.faults - before.faults;
	epoch->counters.calls = after.calls - before.calls;
	epoch->counters.spills = after.spills - before.spills;
	if (nr > 1) { /* the first one warms up */
		job->warm.faults += epoch->counters.faults;
		job->warm.calls += epoch->counters.calls;
		job->warm.spills += epoch->counters.spills;
		job->warm_iterations += epoch->iterations;
	}
	if (!isfinite(epoch->loss))
		return digits_fail("the training diverged in epoch %u: lower --lr",
				   nr);
	return 0;
}

static int train(struct digits_job *job)
{
	struct digits_random random = { ~job->opts.seed };
	struct timespec begin, end;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (job->epoch.nr < job->opts.epochs) {
		if (run_epoch(job, &random))
			return -1;
		if (digits_print_epoch(job))
			return -1;
		if (stop)
			return digits_fail(
				"stopped by a signal after epoch %u of %u",
				job->epoch.nr, job->opts.epochs);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	job->seconds = (double)(end.tv_sec - begin.tv_sec) +
		       (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
	return 0;
}

/* All memory that lives as long as the job does. */
static int prepare(struct digits_job *job)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct tmk_workspace_opts ws_opts = TMK_WORKSPACE_OPTS_INIT;

	if (digits_data_load(&job->data, job->opts.data))
		return -1;
	if (job->opts.batch > job->data.train_nr)
		return digits_fail(
			"--batch %zu is more than the %zu images to learn",
			job->opts.batch, job->data.train_nr);
	if (digits_net_create(&job->net, job->opts.seed))
		return -1;
	opts.name = "digits-extra";
	if (job->opts.extra_bytes &&
	    tmk_region_create(&job->extra, job->opts.extra_bytes, &opts))
		return digits_fail("%s", tmk_error_last());
	/* Its size is learned; so small a one would not get a huge page. */
	ws_opts.region.kind = TMK_KIND_HUGE;
	if (tmk_workspace_create(&job->ws, "iteration", &ws_opts))
		return digits_fail("%s", tmk_error_last());
	return 0;
}

static void drop(struct digits_job *job)
{
	tmk_workspace_destroy(job->ws);
	tmk_region_put(job->extra);
	digits_net_drop(&job->net);
	digits_data_drop(&job->data);
}

/* Stay, with all memory held, until the time is over or a signal comes. */
static void hold(const struct digits_job *job)
{
	struct timespec left = { .tv_sec = job->opts.hold };

	digits_print_hold(job);
	while (!stop && nanosleep(&left, &left) && errno == EINTR)
		;
}

static int run(struct digits_job *job)
{
	int err;

	err = prepare(job);
	if (!err)
		err = digits_print_header(job);
	if (!err)
		err = train(job);
	if (!err)
		err = digits_print_result(job);
	if (!err && job->opts.hold)
		hold(job);
	drop(job);
	return err;
}

/**
 * main() - train and report
 * @argc: how many words
 * @argv: the command line
 *
 * Return: 0; 1 if something failed or --check is not satisfied; 2 for a wrong
 * command line.
 */
int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct digits_job job = { 0 };
	int err;

	err = digits_options(&job.opts, argc, argv);
	if (err)
		return err < 0 ? 2 : 0;
	settle_blas(argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (tmk_open(NULL)) {
		digits_fail("%s", tmk_error_last());
		return 1;
	}
	err = run(&job);
	if (tmk_close() && !err)
		err = digits_fail("%s", tmk_error_last());
	if (!err && (fflush(stdout) || ferror(stdout)))
		err = digits_fail("the output could not be written");
	return err ? 1 : 0;
}
