/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The digits example: one run of it, for digits.c, which does it,
 * digits_options.c, which reads the command line, and digits_print.c.
 */
#ifndef DIGITS_JOB_H
#define DIGITS_JOB_H

#include "digits.h"

/* The least that --check accepts. */
#define DIGITS_ACCURACY_MIN 0.96

struct digits_options {
	unsigned int epochs;
	size_t batch;
	double rate;
	const char *data;
	uint64_t seed;
	unsigned int hold; /* seconds */
	uint64_t extra_bytes;
	bool quiet;
	bool json;
	bool check;
};

/* What must not move in a warmed-up loop. */
struct digits_counters {
	uint64_t faults; /* page faults of the process */
	uint64_t calls; /* system calls of the library */
	uint64_t spills; /* allocations beside the workspace */
};

/* One round over all images. */
struct digits_epoch {
	unsigned int nr; /* the first is 1 */
	unsigned int iterations;
	double loss;
	size_t right;
	size_t held_right;
	struct digits_counters counters; /* what it added */
};

struct digits_job {
	struct digits_options opts;
	struct digits_data data;
	struct digits_net net;
	struct tmk_region *extra;
	struct tmk_workspace *ws; /* of one iteration */
	struct digits_epoch epoch; /* the latest */
	struct digits_counters warm; /* all epochs but the first */
	unsigned int warm_iterations;
	double seconds;
};

/**
 * digits_options() - read the command line
 * @out: the options
 * @argc: how many words
 * @argv: the words
 *
 * Return: 0; 1 if the help was printed; -1 if something is wrong, which was
 * said.
 */
int digits_options(struct digits_options *out, int argc, char **argv);

int digits_print_header(const struct digits_job *job);
int digits_print_epoch(const struct digits_job *job);
void digits_print_hold(const struct digits_job *job);

/**
 * digits_print_result() - the last lines, or the JSON object
 * @job: trained
 *
 * Return: 0, or -1 if --check was given and is not satisfied.
 */
int digits_print_result(const struct digits_job *job);

#endif /* DIGITS_JOB_H */
