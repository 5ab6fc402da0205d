// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * The command line of the digits example.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits_job.h"

static const char usage[] =
	"Usage: digits [OPTIONS]\n"
	"Trains a 64-128-64-10 network on real handwritten digits in memory of tmk.\n"
	"\n"
	"  --epochs N         rounds over the images to learn (default 12)\n"
	"  --batch N          images in one iteration (default 64)\n"
	"  --lr RATE          learning rate at the start (default 0.1)\n"
	"  --seed N           of the weights and of the order of learning (default 1);\n"
	"                     the 360 held-out images are the same for every seed\n"
	"  --data FILE        CSV, may be compressed (default: digits.csv.gz of tmk)\n"
	"  --extra-bytes SIZE ask for one more region of this size, for example 64M\n"
	"  --hold SECONDS     keep all memory for so long after the training\n"
	"  --check            fail if the accuracy is below 96 %, or if a warmed-up\n"
	"                     iteration takes a page fault, a system call or a spill\n"
	"  --quiet            print the result only\n"
	"  --json             print one JSON object only\n"
	"  --help             this text\n"
	"\n"
	"Environment: TMK_BACKEND=auto|dev|user, TMK_MAX_BYTES, TMK_MAX_PHYSICAL_BYTES,\n"
	"TMK_BLAS=ref. Where they are not set, OPENBLAS_NUM_THREADS=1 and (x86-64)\n"
	"OPENBLAS_CORETYPE=Nehalem are, so that every machine prints the same figures.\n"
	"\n"
	"Exit codes: 0 ok, 1 failed, 2 wrong usage. SIGTERM ends a hold in order.\n";

static int bad(const char *name, const char *text, const char *wanted)
{
	return digits_fail("--%s takes %s, not '%s'", name, wanted, text);
}

static int parse_number(uint64_t *out, const char *name, const char *text,
			uint64_t min, uint64_t max)
{
	unsigned long long value;
	char wanted[80], *end;

	snprintf(wanted, sizeof(wanted), "a whole number from %llu to %llu",
		 (unsigned long long)min, (unsigned long long)max);
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < min ||
	    value > max)
		return bad(name, text, wanted);
	*out = value;
	return 0;
}

static int parse_rate(double *out, const char *text)
{
	char *end;

	*out = strtod(text, &end);
	if (end == text || *end || !isfinite(*out) || *out <= 0 || *out > 10)
		return bad("lr", text, "a number above 0 and up to 10");
	return 0;
}

static int parse_one(struct digits_options *out, int option, const char *text)
{
	uint64_t value = 0;
	int err = 0;

	switch (option) {
	case 'e':
		err = parse_number(&value, "epochs", text, 1, 100000);
		out->epochs = (unsigned int)value;
		break;
	case 'b':
		err = parse_number(&value, "batch", text, 1, 1 << 20);
		out->batch = value;
		break;
	case 'l':
		err = parse_rate(&out->rate, text);
		break;
	case 's':
		err = parse_number(&out->seed, "seed", text, 0, UINT64_MAX);
		break;
	case 'd':
		out->data = text;
		break;
	case 'x':
		if (tmk_bytes_parse(&out->extra_bytes, text, 0) ||
		    out->extra_bytes == TMK_UNLIMITED)
			err = bad("extra-bytes", text, "a size such as 64M");
		break;
	case 'h':
		err = parse_number(&value, "hold", text, 0, 86400);
		out->hold = (unsigned int)value;
		break;
	case 'c':
		out->check = true;
		break;
	case 'q':
		out->quiet = true;
		break;
	case 'j':
		out->json = true;
		break;
	}
	return err;
}

int digits_options(struct digits_options *out, int argc, char **argv)
{
	static const struct option options[] = {
		{ "epochs", required_argument, NULL, 'e' },
		{ "batch", required_argument, NULL, 'b' },
		{ "lr", required_argument, NULL, 'l' },
		{ "seed", required_argument, NULL, 's' },
		{ "data", required_argument, NULL, 'd' },
		{ "extra-bytes", required_argument, NULL, 'x' },
		{ "hold", required_argument, NULL, 'h' },
		{ "check", no_argument, NULL, 'c' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'H' },
		{ 0 },
	};
	int option;

	*out = (struct digits_options){
		.epochs = 12, .batch = 64, .rate = 0.1, .seed = 1
	};
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == 'H') {
			fputs(usage, stdout);
			return 1;
		}
		if (option == ':')
			return digits_fail("%s needs a value",
					   argv[optind - 1]);
		if (option == '?')
			return digits_fail("there is no option %s; see --help",
					   argv[optind - 1]);
		if (parse_one(out, option, optarg))
			return -1;
	}
	if (optind < argc)
		return digits_fail("'%s' is no option; see --help",
				   argv[optind]);
	if (out->check && out->epochs < 2)
		return digits_fail(
			"--check needs 2 epochs: the first one warms up");
	return 0;
}
