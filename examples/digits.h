/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The digits example: what its files share.
 *
 *	digits.c       options, the training loop, what is printed
 *	digits_net.c   the network: forward, backward, update
 *	digits_data.c  the images: the file, the split, their region
 *	digits_csv.c   the parser, a pure function
 *
 * A function that fails prints one sentence with digits_fail() and returns -1.
 */
#ifndef DIGITS_H
#define DIGITS_H

#include <stddef.h>
#include <stdint.h>

#include <tmk/tmk.h>

#define DIGITS_PIXELS 64 /* 8 x 8 */
#define DIGITS_CLASSES 10
#define DIGITS_GREY_MAX 16
#define DIGITS_ROW (DIGITS_PIXELS + 1) /* and the label */
#define DIGITS_HELD_OUT 360 /* images that are never learned */
#define DIGITS_SPLIT_SEED 1 /* which ones: the last 360 of this shuffle */
#define DIGITS_LAYERS 3

/**
 * digits_fail() - print one sentence to stderr
 * @fmt: the sentence
 *
 * Return: -1.
 */
int digits_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A small generator (splitmix64): the same numbers on every machine. */
struct digits_random {
	uint64_t state;
};

uint64_t digits_random_next(struct digits_random *random);
void digits_shuffle(int32_t *order, size_t nr, struct digits_random *random);

/**
 * struct digits_rows - the file as it is
 * @values: @nr rows of 64 grey values and the label; to be freed
 * @nr: how many
 */
struct digits_rows {
	uint8_t *values;
	size_t nr;
};

/**
 * digits_csv_parse() - read rows of 65 numbers
 * @out: the rows
 * @text: the file's text, need not end with a NUL
 * @len: its length
 * @why: what is wrong and in which line, if something is
 * @why_len: room there
 *
 * Return: 0, -EINVAL with @why filled in, or -ENOMEM.
 */
int digits_csv_parse(struct digits_rows *out, const char *text, size_t len,
		     char *why, size_t why_len);

/**
 * struct digits_data - the images in memory of tmk, shuffled
 * @region: where they are
 * @images: f32, all of them x 64, 0..1; the held-out ones last
 * @labels: i32, all of them
 * @order: i32, in which order the images are taken; only the first @train_nr
 *	of it change places
 * @nr: all images
 * @train_nr: those that are learned
 */
struct digits_data {
	struct tmk_region *region;
	struct tmk_tensor *images;
	struct tmk_tensor *labels;
	struct tmk_tensor *order;
	size_t nr;
	size_t train_nr;
};

/**
 * digits_data_load() - read the file whole, then copy it into a region
 * @out: the images; digits_data_drop() them, also after a failure
 * @path: a CSV file, compressed with gzip or not; NULL finds the project's own
 *
 * Return: 0 or -1.
 */
int digits_data_load(struct digits_data *out, const char *path);
void digits_data_drop(struct digits_data *data);

/* Weights and biases of one layer, and their momentum. */
struct digits_layer {
	struct tmk_tensor *w, *b;
	struct tmk_tensor *w_speed, *b_speed;
};

/* 64-128-64-10, all of it in one region that lives as long as the training. */
struct digits_net {
	struct tmk_region *region;
	struct digits_layer layers[DIGITS_LAYERS];
};

/* What one pass forward leaves in the workspace. */
struct digits_pass {
	const struct tmk_tensor *in[DIGITS_LAYERS]; /* into each layer */
	struct tmk_tensor *logits;
};

/* What is learned or recognised at once; in the workspace. */
struct digits_batch {
	struct tmk_tensor *images; /* f32, n x 64 */
	struct tmk_tensor *labels; /* i32, n */
};

int digits_net_create(struct digits_net *out, uint64_t seed);
void digits_net_drop(struct digits_net *net);

/* The rest allocates in the workspace that is open. */
int digits_net_forward(struct digits_pass *out, const struct digits_net *net,
		       const struct tmk_tensor *images);

/**
 * digits_net_right() - how many images were recognised
 * @out: the number
 * @pass: of these images
 * @labels: what they are
 *
 * Return: 0 or -1.
 */
int digits_net_right(size_t *out, const struct digits_pass *pass,
		     const struct tmk_tensor *labels);

/**
 * digits_net_learn() - one step of gradient descent
 * @loss: the images' mean loss before it
 * @net: learns
 * @pass: of the images
 * @labels: what they are
 * @rate: learning rate
 *
 * Return: 0 or -1.
 */
int digits_net_learn(float *loss, struct digits_net *net,
		     const struct digits_pass *pass,
		     const struct tmk_tensor *labels, float rate);

#endif /* DIGITS_H */
