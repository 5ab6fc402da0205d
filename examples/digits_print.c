// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * What the digits example prints: a header, a line for each epoch, the result.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "digits_job.h"

/* Bytes of all regions of the job by the pages that they are made of. */
struct pages {
	unsigned int regions;
	uint64_t total;
	uint64_t huge; /* 2 MiB and 1 GiB pages */
	uint64_t small; /* everything below */
};

static char *size(char *buf, size_t len, uint64_t bytes)
{
	return tmk_bytes_format(buf, len, bytes);
}

static int count_pages(struct pages *out, const struct digits_job *job)
{
	const struct tmk_region *regions[] = {
		job->data.region,
		job->net.region,
		job->extra,
		tmk_workspace_region(job->ws),
	};
	struct tmk_region_info info;
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		if (!regions[i])
			continue;
		if (tmk_region_info(&info, regions[i]))
			return digits_fail("%s", tmk_error_last());
		out->regions++;
		out->total += info.bytes;
		out->huge += info.bytes_2m + info.bytes_1g;
		out->small += info.bytes_4k + info.bytes_large;
	}
	return 0;
}

static bool is_silent(const struct digits_job *job)
{
	return job->opts.quiet || job->opts.json;
}

int digits_print_header(const struct digits_job *job)
{
	struct tmk_backend_info backend;
	struct tmk_limits limits;
	struct pages pages;
	char text[2][24];

	if (is_silent(job))
		return 0;
	if (tmk_backend_info(&backend) || tmk_limits_get(&limits))
		return digits_fail("%s", tmk_error_last());
	if (count_pages(&pages, job))
		return -1;
	printf("digits: network 64-128-64-10, seed %" PRIu64
	       "; %zu images to learn, %d held out (split seed %d)\n",
	       job->opts.seed, job->data.train_nr, DIGITS_HELD_OUT,
	       DIGITS_SPLIT_SEED);
	printf("backend %s: %s\n", backend.name, backend.reason);
	printf("arithmetic by %s\n", tmk_blas_name());
	printf("limits of this process: %s in all, %s in RAM\n",
	       size(text[0], sizeof(text[0]), limits.max_bytes),
	       size(text[1], sizeof(text[1]), limits.max_physical_bytes));
	printf("images and weights: %s in %u regions, %s of it in huge pages\n\n",
	       size(text[0], sizeof(text[0]), pages.total), pages.regions,
	       size(text[1], sizeof(text[1]), pages.huge));
	printf("%8s %6s %8s %8s %10s %10s %6s %8s %8s %9s %8s\n", "", "loss",
	       "learned", "held out", "workspace", "high-water", "spills",
	       "in huge", "in small", "faults/it", "calls/it");
	return 0;
}

static double per_iteration(uint64_t count, unsigned int iterations)
{
	return iterations ? (double)count / iterations : 0;
}

int digits_print_epoch(const struct digits_job *job)
{
	const struct digits_epoch *epoch = &job->epoch;
	struct tmk_workspace_info ws;
	struct pages pages;
	char text[4][24];

	if (is_silent(job))
		return 0;
	if (tmk_workspace_info(&ws, job->ws))
		return digits_fail("%s", tmk_error_last());
	if (count_pages(&pages, job))
		return -1;
	printf(epoch->loss < 100 ? "epoch%3u %6.4f" : "epoch%3u %6.0e",
	       epoch->nr, epoch->loss);
	printf(" %6.2f %% %6.2f %% %10s %10s %6" PRIu64
	       " %8s %8s %9.2f %8.2f\n",
	       100.0 * (double)epoch->right / (double)job->data.train_nr,
	       100.0 * (double)epoch->held_right / DIGITS_HELD_OUT,
	       size(text[0], sizeof(text[0]), ws.size),
	       size(text[1], sizeof(text[1]), ws.max), epoch->counters.spills,
	       size(text[2], sizeof(text[2]), pages.huge),
	       size(text[3], sizeof(text[3]), pages.small),
	       per_iteration(epoch->counters.faults, epoch->iterations),
	       per_iteration(epoch->counters.calls, epoch->iterations));
	return 0;
}

void digits_print_hold(const struct digits_job *job)
{
	struct tmk_stats stats = { .stats_size = sizeof(stats) };
	char text[24];

	if (is_silent(job) || tmk_stats_snapshot(&stats))
		return;
	printf("holding %s for %u s; SIGTERM ends it\n",
	       size(text, sizeof(text), stats.total.current), job->opts.hold);
}

static double accuracy(const struct digits_job *job)
{
	return (double)job->epoch.held_right / DIGITS_HELD_OUT;
}

/* Is everything as it was promised? */
static bool is_free(const struct digits_job *job)
{
	return job->warm_iterations && !job->warm.faults && !job->warm.calls &&
	       !job->warm.spills;
}

static void json_text(const char *key, const char *text)
{
	printf("\"%s\":\"", key);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			printf("\\u%04x", (unsigned int)*text);
		else
			putchar(*text);
	}
	printf("\",");
}

static void json_u64(const char *key, uint64_t value)
{
	printf("\"%s\":%" PRIu64 ",", key, value);
}

static int print_json(const struct digits_job *job)
{
	struct tmk_workspace_info ws;
	struct tmk_backend_info backend;
	struct pages pages;

	if (tmk_backend_info(&backend) || tmk_workspace_info(&ws, job->ws))
		return digits_fail("%s", tmk_error_last());
	if (count_pages(&pages, job))
		return -1;
	printf("{\"version\":1,");
	json_text("backend", backend.name);
	json_text("backend_reason", backend.reason);
	json_text("blas", tmk_blas_name());
	json_u64("images_learned", job->data.train_nr);
	json_u64("images_held_out", DIGITS_HELD_OUT);
	json_u64("split_seed", DIGITS_SPLIT_SEED);
	json_u64("seed", job->opts.seed);
	json_u64("epochs", job->epoch.nr);
	json_u64("batch", job->opts.batch);
	printf("\"lr\":%.9g,\"loss\":%.9g,", job->opts.rate, job->epoch.loss);
	json_u64("learned_right", job->epoch.right);
	json_u64("held_out_right", job->epoch.held_right);
	printf("\"accuracy\":%.6f,\"seconds\":%.3f,", accuracy(job),
	       job->seconds);
	json_u64("workspace_bytes", ws.size);
	json_u64("workspace_high_water", ws.max);
	json_u64("workspace_spills", ws.spilled_total);
	json_u64("regions", pages.regions);
	json_u64("region_bytes", pages.total);
	json_u64("region_bytes_huge", pages.huge);
	json_u64("region_bytes_small", pages.small);
	json_u64("warm_iterations", job->warm_iterations);
	json_u64("warm_faults", job->warm.faults);
	json_u64("warm_calls", job->warm.calls);
	json_u64("warm_spills", job->warm.spills);
	printf("\"warm_free\":%s}\n", !job->warm_iterations ? "null" :
				      is_free(job)	    ? "true" :
							      "false");
	return 0;
}

static void print_text(const struct digits_job *job)
{
	if (!is_silent(job))
		putchar('\n');
	printf("held-out accuracy: %.2f %% (%zu of %d), after %.1f s\n",
	       100 * accuracy(job), job->epoch.held_right, DIGITS_HELD_OUT,
	       job->seconds);
	if (job->warm_iterations)
		printf("%u warmed-up iterations took %" PRIu64
		       " page faults, %" PRIu64
		       " system calls of tmk and %" PRIu64 " spills: %s\n",
		       job->warm_iterations, job->warm.faults, job->warm.calls,
		       job->warm.spills,
		       is_free(job) ? "nothing, as promised" :
				      "not nothing, as was promised");
	else
		printf("one epoch only warms up: what later ones cost is not known\n");
}

int digits_print_result(const struct digits_job *job)
{
	if (job->opts.json) {
		if (print_json(job))
			return -1;
	} else {
		print_text(job);
	}
	if (!job->opts.check)
		return 0;
	if (accuracy(job) < DIGITS_ACCURACY_MIN)
		return digits_fail("--check: the accuracy %.2f %% is below %.0f %%",
				   100 * accuracy(job),
				   100 * DIGITS_ACCURACY_MIN);
	if (!is_free(job))
		return digits_fail(
			"--check: the warmed-up iterations took page faults, system calls or spills");
	return 0;
}
