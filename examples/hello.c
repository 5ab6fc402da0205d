// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/* The example of the README: an iteration's memory is given back at its end. */
#include <stdio.h>
#include <tmk/tmk.h>

int main(void)
{
	struct tmk_workspace *ws;
	struct tmk_tensor *x;
	int err = tmk_workspace_create(&ws, "step", NULL);

	for (int64_t n = 1000; n && !err; n--)
		TMK_WORKSPACE_SCOPE(ws)
			err = tmk_tensor_create(&x, TMK_F32, 1, &n);
	puts(err ? tmk_error_last() : "1000 iterations in the memory of one");
	return err != 0;
}
