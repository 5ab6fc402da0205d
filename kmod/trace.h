/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (c) 2026 the tmk authors */
/*
 * Tracepoints: what was handed out, what came back, what was refused.
 *
 *	trace-cmd record -e tmk
 *	bpftrace -e 'tracepoint:tmk:charge_fail { @[args->cgroup] = count(); }'
 */
/* clang-format off */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tmk

#if !defined(KTMK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KTMK_TRACE_H

#include <linux/tracepoint.h>

#include "ktmk.h"

/*
 * Tools read the events' formats, in which the names of our enums mean nothing to
 * them: have the values put there.
 */
TRACE_DEFINE_ENUM(TMK_IOC_KIND_PINNED);
TRACE_DEFINE_ENUM(TMK_IOC_KIND_HUGE);
TRACE_DEFINE_ENUM(TMK_IOC_KIND_HUGETLB);
TRACE_DEFINE_ENUM(TMK_IOC_KIND_FILE);
TRACE_DEFINE_ENUM(TMK_IOC_REFUSAL_MAX);
TRACE_DEFINE_ENUM(TMK_IOC_REFUSAL_PHYSICAL_MAX);
TRACE_DEFINE_ENUM(TMK_IOC_REFUSAL_MEMCG);
TRACE_DEFINE_ENUM(TMK_IOC_REFUSAL_MEMORY);
TRACE_DEFINE_ENUM(TMK_IOC_REFUSAL_HUGE);
TRACE_DEFINE_ENUM(TMK_IOC_REFUSAL_POOL);
TRACE_DEFINE_ENUM(TMK_IOC_REFUSAL_HUGETLB_MAX);

#define ktmk_show_kind(kind)                                 \
	__print_symbolic(kind, { TMK_IOC_KIND_PINNED, "pinned" }, \
			 { TMK_IOC_KIND_HUGE, "huge" },      \
			 { TMK_IOC_KIND_HUGETLB, "hugetlb" }, \
			 { TMK_IOC_KIND_FILE, "file" })

TRACE_EVENT(region_create,

	TP_PROTO(const struct ktmk_region *region),

	TP_ARGS(region),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, cgroup)
		__field(u64, length)
		__field(u64, bytes_2m)
		__field(u32, kind)
		__field(u32, flags)
	),

	TP_fast_assign(
		__entry->id = region->id;
		__entry->cgroup = ktmk_group_id(region->group);
		__entry->length = region->params.length;
		__entry->bytes_2m = region->bytes[KTMK_PAGES_2M];
		__entry->kind = region->params.kind;
		__entry->flags = region->params.flags;
	),

	TP_printk("id=%llu cgroup=%llu kind=%s flags=%#x length=%llu bytes_2m=%llu",
		  __entry->id, __entry->cgroup, ktmk_show_kind(__entry->kind),
		  __entry->flags, __entry->length, __entry->bytes_2m)
);

TRACE_EVENT(region_destroy,

	TP_PROTO(const struct ktmk_region *region, u64 held),

	TP_ARGS(region, held),

	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, cgroup)
		__field(u64, length)
		__field(u64, held)
	),

	TP_fast_assign(
		__entry->id = region->id;
		__entry->cgroup = ktmk_group_id(region->group);
		__entry->length = region->params.length;
		__entry->held = held;
	),

	TP_printk("id=%llu cgroup=%llu length=%llu held=%llu", __entry->id,
		  __entry->cgroup, __entry->length, __entry->held)
);

TRACE_EVENT(charge_fail,

	TP_PROTO(u64 asked, const struct ktmk_refusal *refusal),

	TP_ARGS(asked, refusal),

	TP_STRUCT__entry(
		__field(u64, cgroup)
		__field(u64, asked)
		__field(u64, used)
		__field(u64, limit)
		__field(u32, reason)
	),

	TP_fast_assign(
		__entry->cgroup = refusal->cgroup;
		__entry->asked = asked;
		__entry->used = refusal->used;
		__entry->limit = refusal->limit;
		__entry->reason = refusal->reason;
	),

	TP_printk("cgroup=%llu reason=%s asked=%llu used=%llu limit=%llu",
		  __entry->cgroup,
		  __print_symbolic(__entry->reason,
				   { TMK_IOC_REFUSAL_MAX, "max" },
				   { TMK_IOC_REFUSAL_PHYSICAL_MAX,
				     "physical_max" },
				   { TMK_IOC_REFUSAL_MEMCG, "memory.max" },
				   { TMK_IOC_REFUSAL_MEMORY, "memory" },
				   { TMK_IOC_REFUSAL_HUGE, "huge" },
				   { TMK_IOC_REFUSAL_POOL, "pool" },
				   { TMK_IOC_REFUSAL_HUGETLB_MAX,
				     "hugetlb.max" }),
		  __entry->asked, __entry->used, __entry->limit)
);

#endif /* KTMK_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
