/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoint yoke:yoke_state: one event for every change of state of a link, a
 * peer or a volume (/sys/kernel/tracing/events/yoke/).
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM yoke

#if !defined(_YOKE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _YOKE_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(yoke_state,
	TP_PROTO(const char *object, u32 object_len,
		 const char *from, u32 from_len,
		 const char *to, u32 to_len,
		 const char *reason, u32 reason_len),
	TP_ARGS(object, object_len, from, from_len, to, to_len, reason,
		reason_len),
	TP_STRUCT__entry(
		__string_len(object, object, object_len)
		__string_len(from, from, from_len)
		__string_len(to, to, to_len)
		__string_len(reason, reason, reason_len)
	),
	TP_fast_assign(
		__assign_str(object);
		__assign_str(from);
		__assign_str(to);
		__assign_str(reason);
	),
	TP_printk("%s %s -> %s: %s", __get_str(object), __get_str(from),
		  __get_str(to), __get_str(reason))
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH yoke
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
