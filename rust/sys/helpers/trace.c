// SPDX-License-Identifier: GPL-2.0
/* The tracepoint, and its shim. */
#define CREATE_TRACE_POINTS
#include <yoke/trace.h>

void yoke_sys_trace_state(const char *object, u32 object_len, const char *from,
			  u32 from_len, const char *to, u32 to_len,
			  const char *reason, u32 reason_len)
{
	trace_yoke_state(object, object_len, from, from_len, to, to_len, reason,
			 reason_len);
}
