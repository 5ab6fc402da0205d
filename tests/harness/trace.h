/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The recorded traces of tests/traces, compiled into the program, so that it
 * needs no file where it runs. See the README there.
 */
#ifndef TMK_TESTS_HARNESS_TRACE_H
#define TMK_TESTS_HARNESS_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_EVENTS 2048

#define TRACE_TEXT(symbol, file)                                \
	__asm__(".section .rodata\n"                            \
		".global " #symbol "\n" #symbol ":\n"           \
		".incbin \"tests/traces/" file ".trace.tsv\"\n" \
		".byte 0\n"                                     \
		".previous\n");                                 \
	extern const char symbol[]

TRACE_TEXT(trace_mlp, "mlp-train-b128");
TRACE_TEXT(trace_bert, "bert-infer-b1s128");
TRACE_TEXT(trace_resnet, "resnet50-train-b2");
TRACE_TEXT(trace_gpt2, "gpt2-train-b2s256");
TRACE_TEXT(trace_llama, "llama7b-decode-ctx512");

struct trace_event {
	uint32_t id;
	bool release;
	uint64_t bytes;
};

struct trace {
	const char *name;
	int nr; /* events */
	int allocs;
	uint32_t ids; /* one more than the largest */
	uint64_t total; /* bytes allocated */
	uint64_t aligned; /* the same, each a multiple of 64 */
	struct trace_event events[TRACE_EVENTS];
};

#define TRACES_NR 5

static inline const char *trace_name(int i)
{
	static const char *const names[TRACES_NR] = {
		"mlp-train-b128", "bert-infer-b1s128", "resnet50-train-b2",
		"gpt2-train-b2s256", "llama7b-decode-ctx512"
	};

	return names[i];
}

static inline const char *trace_text(int i)
{
	const char *const texts[TRACES_NR] = { trace_mlp, trace_bert,
					       trace_resnet, trace_gpt2,
					       trace_llama };

	return texts[i];
}

/* Trace @i with its sizes divided. Return: false if the text is no trace. */
static inline bool trace_read(struct trace *out, int i, uint64_t divisor)
{
	const char *p = trace_text(i);
	struct trace_event *e;
	char *end;

	memset(out, 0, sizeof(*out));
	out->name = trace_name(i);
	for (; *p; p = strchr(p, '\n') + 1) {
		if (*p == '#')
			continue;
		if ((*p != 'a' && *p != 'f') || out->nr == TRACE_EVENTS)
			return false;
		e = &out->events[out->nr++];
		e->release = *p == 'f';
		e->id = (uint32_t)strtoul(p + 2, &end, 10);
		e->bytes = strtoull(end + 1, &end, 10) / divisor;
		e->bytes = e->bytes ? e->bytes : 1;
		if (e->id >= out->ids)
			out->ids = e->id + 1;
		if (!e->release) {
			out->allocs++;
			out->total += e->bytes;
			out->aligned += (e->bytes + 63) & ~UINT64_C(63);
		}
	}
	return out->nr;
}

#endif /* TMK_TESTS_HARNESS_TRACE_H */
