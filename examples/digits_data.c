// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * The images: reads the file whole and checks it whole before any memory of tmk
 * is asked for, then copies it, shuffled, into one region:
 *
 *	images (f32)  |  labels (i32)  |  order (i32)
 *
 * The last 360 of the shuffle are held out. Its seed is fixed, so they are the
 * same images in every run.
 */
#define _GNU_SOURCE /* asprintf */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "digits.h"

/* Far more than the real file, far less than a bomb unpacks to. */
#define FILE_BYTES_MAX ((size_t)64 << 20)
#define NAME "digits.csv.gz"

uint64_t digits_random_next(struct digits_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void digits_shuffle(int32_t *order, size_t nr, struct digits_random *random)
{
	size_t i;

	for (i = nr; i > 1; i--) {
		size_t j = digits_random_next(random) % i;
		int32_t kept = order[i - 1];

		order[i - 1] = order[j];
		order[j] = kept;
	}
}

/*
 * Where the file may be, from the program's own place: beside it, installed
 * with it, in the source tree above a build folder; or where distributions
 * install. Return: a path to be freed, or NULL.
 */
static char *find_file(void)
{
	static const char *const places[] = {
		"data/" NAME,
		"../share/tmk/" NAME,
		"../../examples/data/" NAME,
		"../../../examples/data/" NAME,
		"/usr/share/tmk/" NAME,
	};
	char self[PATH_MAX], *path;
	ssize_t len;
	size_t i;

	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len < 0)
		len = 0;
	self[len] = '\0';
	*(strrchr(self, '/') ? strrchr(self, '/') + 1 : self) = '\0';
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (asprintf(&path, "%s%s", *places[i] == '/' ? "" : self,
			     places[i]) < 0)
			return NULL;
		if (!access(path, R_OK))
			return path;
		free(path);
	}
	return NULL;
}

/* zlib's or the system's word for what went wrong. */
static const char *file_error(gzFile file, const char *path)
{
	int code;
	const char *text = gzerror(file, &code);
	size_t len = strlen(path);

	if (code == Z_ERRNO)
		return strerror(errno);
	if (code == Z_BUF_ERROR)
		return "it ends too early";
	/* zlib puts the path before its words. */
	if (!strncmp(text, path, len) && !strncmp(text + len, ": ", 2))
		text += len + 2;
	return text;
}

/* The file's text, unpacked; to be freed. */
static int read_text(char **out, size_t *out_len, gzFile file, const char *path)
{
	size_t room = 1 << 20, len = 0;
	char *text = malloc(room), *grown;
	int n = 0, err = 0;

	while (text) {
		n = gzread(file, text + len, (unsigned int)(room - len));
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len < room)
			continue;
		if (room == FILE_BYTES_MAX) {
			free(text);
			return digits_fail(
				"%s is no digits file: it has more than %zu MiB",
				path, FILE_BYTES_MAX >> 20);
		}
		room *= 2;
		grown = realloc(text, room);
		if (!grown)
			free(text);
		text = grown;
	}
	if (!text)
		return digits_fail("out of memory");
	/* A cut file is noticed at its end only. */
	gzerror(file, &err);
	if (n < 0 || err != Z_OK) {
		digits_fail("%s cannot be read: %s", path,
			    file_error(file, path));
		free(text);
		return -1;
	}
	*out = text;
	*out_len = len;
	return 0;
}

static int read_rows(struct digits_rows *out, const char *path)
{
	char *text = NULL, why[192];
	size_t len = 0;
	gzFile file;
	int err;

	file = gzopen(path, "rbe");
	if (!file)
		return digits_fail("%s cannot be opened: %s", path,
				   strerror(errno));
	err = read_text(&text, &len, file, path);
	gzclose(file);
	if (err)
		return err;
	err = digits_csv_parse(out, text, len, why, sizeof(why));
	free(text);
	if (err)
		return digits_fail("%s is no digits file: %s", path,
				   err == -EINVAL ? why : strerror(-err));
	if (out->nr < 2 * DIGITS_HELD_OUT) {
		free(out->values);
		return digits_fail(
			"%s has %zu images, too few: %d are held out and at least as many are learned",
			path, out->nr, DIGITS_HELD_OUT);
	}
	return 0;
}

static size_t align64(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

/* One region, and the tensors in it. */
static int make_tensors(struct digits_data *data)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	int64_t nr = (int64_t)data->nr;
	int64_t shape[2] = { nr, DIGITS_PIXELS };
	size_t labels = align64(data->nr * DIGITS_PIXELS * sizeof(float));
	size_t order = labels + align64(data->nr * sizeof(int32_t));
	size_t bytes = order + align64(data->nr * sizeof(int32_t));

	opts.name = "digits-data";
	if (tmk_region_create(&data->region, bytes, &opts) ||
	    tmk_tensor_from_region(&data->images, data->region, 0, TMK_F32, 2,
				   shape) ||
	    tmk_tensor_from_region(&data->labels, data->region, labels, TMK_I32,
				   1, &nr) ||
	    tmk_tensor_from_region(&data->order, data->region, order, TMK_I32,
				   1, &nr))
		return digits_fail("%s", tmk_error_last());
	return 0;
}

/* @order: a permutation of all rows. */
static void fill_tensors(struct digits_data *data,
			 const struct digits_rows *rows, const int32_t *order)
{
	float *images = tmk_tensor_data(data->images);
	int32_t *labels = tmk_tensor_data(data->labels);
	int32_t *in_order = tmk_tensor_data(data->order);
	size_t i, pixel;

	for (i = 0; i < data->nr; i++) {
		const uint8_t *row =
			rows->values + DIGITS_ROW * (size_t)order[i];

		for (pixel = 0; pixel < DIGITS_PIXELS; pixel++)
			*images++ = (float)row[pixel] / DIGITS_GREY_MAX;
		labels[i] = row[DIGITS_PIXELS];
		in_order[i] = (int32_t)i;
	}
}

int digits_data_load(struct digits_data *out, const char *path)
{
	struct digits_random random = { DIGITS_SPLIT_SEED };
	struct digits_rows rows = { 0 };
	char *found = NULL;
	int32_t *order;
	size_t i;
	int err;

	memset(out, 0, sizeof(*out));
	if (!path) {
		path = found = find_file();
		if (!path)
			return digits_fail(
				"there is no " NAME
				" near this program; name it with --data FILE");
	}
	err = read_rows(&rows, path);
	free(found);
	if (err)
		return err;
	order = malloc(rows.nr * sizeof(*order));
	if (!order) {
		free(rows.values);
		return digits_fail("out of memory");
	}
	for (i = 0; i < rows.nr; i++)
		order[i] = (int32_t)i;
	digits_shuffle(order, rows.nr, &random);
	out->nr = rows.nr;
	out->train_nr = rows.nr - DIGITS_HELD_OUT;
	err = make_tensors(out);
	if (!err)
		fill_tensors(out, &rows, order);
	free(order);
	free(rows.values);
	return err;
}

void digits_data_drop(struct digits_data *data)
{
	tmk_tensor_put(data->order);
	tmk_tensor_put(data->labels);
	tmk_tensor_put(data->images);
	tmk_region_put(data->region);
	memset(data, 0, sizeof(*data));
}
