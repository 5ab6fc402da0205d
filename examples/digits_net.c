// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * The network 64-128-64-10 with ReLU, softmax and cross-entropy, trained by
 * gradient descent with momentum.
 *
 * What lives on (weights, biases, their momentum) is in one region that is
 * zeroed when it is made. What lives for one iteration (activations, gradients)
 * goes to the open workspace: nothing here is freed, closing the scope does it.
 */
#include <math.h>
#include <string.h>

#include "digits.h"

#define MOMENTUM 0.9f

static const int64_t widths[DIGITS_LAYERS + 1] = { DIGITS_PIXELS, 128, 64,
						   DIGITS_CLASSES };

static int refused(void)
{
	return digits_fail("%s", tmk_error_last());
}

/* The next tensor of the region. */
static int place(struct tmk_tensor **out, struct tmk_region *region,
		 size_t *offset, int rank, const int64_t *shape)
{
	size_t bytes = (size_t)shape[0] * sizeof(float);

	if (rank == 2)
		bytes *= (size_t)shape[1];
	if (tmk_tensor_from_region(out, region, *offset, TMK_F32, rank, shape))
		return refused();
	*offset += (bytes + 63) & ~(size_t)63;
	return 0;
}

/* He's rule for ReLU, uniform: +-sqrt(6 / inputs). */
static void init_weights(struct tmk_tensor *w, struct digits_random *random)
{
	float limit = sqrtf(6.0f / (float)tmk_tensor_shape(w)[0]);
	int64_t i, nr = tmk_tensor_nr(w);
	float *data = tmk_tensor_data(w);

	for (i = 0; i < nr; i++) {
		/* 24 bits: each value is exact in a float. */
		uint32_t bits = (uint32_t)(digits_random_next(random) >> 40);

		data[i] = limit * ((float)bits / (1 << 23) - 1.0f);
	}
}

static size_t net_bytes(void)
{
	size_t bytes = 0, i;

	for (i = 0; i < DIGITS_LAYERS; i++) {
		bytes += (size_t)(widths[i] * widths[i + 1]) * sizeof(float);
		bytes += (size_t)widths[i + 1] * sizeof(float);
		bytes += 2 * 63; /* alignment */
	}
	return 2 * bytes; /* the momentum is as large */
}

int digits_net_create(struct digits_net *out, uint64_t seed)
{
	struct tmk_region_opts opts = TMK_REGION_OPTS_INIT;
	struct digits_random random = { seed };
	size_t offset = 0, i;

	memset(out, 0, sizeof(*out));
	opts.name = "digits-weights";
	if (tmk_region_create(&out->region, net_bytes(), &opts))
		return refused();
	for (i = 0; i < DIGITS_LAYERS; i++) {
		struct digits_layer *l = &out->layers[i];

		if (place(&l->w, out->region, &offset, 2, &widths[i]) ||
		    place(&l->b, out->region, &offset, 1, &widths[i + 1]) ||
		    place(&l->w_speed, out->region, &offset, 2, &widths[i]) ||
		    place(&l->b_speed, out->region, &offset, 1, &widths[i + 1]))
			return -1;
		init_weights(l->w, &random);
	}
	return 0;
}

void digits_net_drop(struct digits_net *net)
{
	size_t i;

	for (i = 0; i < DIGITS_LAYERS; i++) {
		tmk_tensor_put(net->layers[i].w);
		tmk_tensor_put(net->layers[i].b);
		tmk_tensor_put(net->layers[i].w_speed);
		tmk_tensor_put(net->layers[i].b_speed);
	}
	tmk_region_put(net->region);
	memset(net, 0, sizeof(*net));
}

int digits_net_forward(struct digits_pass *out, const struct digits_net *net,
		       const struct tmk_tensor *images)
{
	const struct tmk_tensor *x = images;
	struct tmk_tensor *y = NULL;
	size_t i;

	for (i = 0; i < DIGITS_LAYERS; i++) {
		const struct digits_layer *l = &net->layers[i];
		int64_t shape[2] = { tmk_tensor_shape(images)[0],
				     widths[i + 1] };

		/* y = relu(x w + b), without relu in the last layer */
		if (tmk_tensor_create(&y, TMK_F32, 2, shape) ||
		    tmk_gemm(y, 1, x, false, l->w, false, 0) ||
		    tmk_tensor_add(y, y, l->b) ||
		    (i + 1 < DIGITS_LAYERS && tmk_tensor_relu(y, y)))
			return refused();
		out->in[i] = x;
		x = y;
	}
	out->logits = y;
	return 0;
}

/* speed = MOMENTUM speed + gradient; value -= rate speed */
static int update(struct tmk_tensor *value, struct tmk_tensor *speed,
		  const struct tmk_tensor *gradient, float rate)
{
	if (tmk_tensor_scale(speed, MOMENTUM) || tmk_axpy(speed, 1, gradient) ||
	    tmk_axpy(value, -rate, speed))
		return refused();
	return 0;
}

/*
 * One layer backward: from the gradient of its output to those of its weights,
 * which are learned from, and to that of its input.
 */
static int learn_layer(struct digits_layer *l, size_t nr,
		       const struct tmk_tensor *x, struct tmk_tensor **dy,
		       float rate)
{
	struct tmk_tensor *dx = NULL, *dw, *db;

	if (tmk_tensor_create(&dw, TMK_F32, 2, &widths[nr]) ||
	    tmk_tensor_create(&db, TMK_F32, 1, &widths[nr + 1]) ||
	    tmk_gemm(dw, 1, x, true, *dy, false, 0) ||
	    tmk_tensor_sum_rows(db, *dy))
		return refused();
	/* The images need no gradient. x is after relu: 0 where relu was. */
	if (nr && (tmk_tensor_create(&dx, TMK_F32, 2, tmk_tensor_shape(x)) ||
		   tmk_gemm(dx, 1, *dy, false, l->w, true, 0) ||
		   tmk_tensor_relu_grad(dx, dx, x)))
		return refused();
	*dy = dx;
	if (update(l->w, l->w_speed, dw, rate) ||
	    update(l->b, l->b_speed, db, rate))
		return -1;
	return 0;
}

int digits_net_learn(float *loss, struct digits_net *net,
		     const struct digits_pass *pass,
		     const struct tmk_tensor *labels, float rate)
{
	struct tmk_tensor *dy;
	size_t i;

	if (tmk_tensor_create(&dy, TMK_F32, 2,
			      tmk_tensor_shape(pass->logits)) ||
	    tmk_softmax_xent(loss, dy, pass->logits, labels))
		return refused();
	for (i = DIGITS_LAYERS; i-- > 0;)
		if (learn_layer(&net->layers[i], i, pass->in[i], &dy, rate))
			return -1;
	return 0;
}

int digits_net_right(size_t *out, const struct digits_pass *pass,
		     const struct tmk_tensor *labels)
{
	int64_t i, nr = tmk_tensor_nr(labels);
	const int32_t *guess, *label = tmk_tensor_data(labels);
	struct tmk_tensor *guesses;

	if (tmk_tensor_create(&guesses, TMK_I32, 1, &nr) ||
	    tmk_tensor_argmax_rows(guesses, pass->logits))
		return refused();
	guess = tmk_tensor_data(guesses);
	for (*out = 0, i = 0; i < nr; i++)
		*out += guess[i] == label[i];
	return 0;
}
