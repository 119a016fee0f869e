// SPDX-License-Identifier: GPL-2.0
/*
 * C shims, see helpers.h. One file a subject would cost an object file each;
 * so they are included here, as rust/helpers/helpers.c of the kernel does.
 */
#include "helpers.h"

#include "helpers/bio.c"
#include "helpers/disk.c"
#include "helpers/reservation.c"
#include "helpers/cache.c"
#include "helpers/memory.c"
#include "helpers/wait.c"
#include "helpers/admin.c"
#include "helpers/kinds.c"
#include "helpers/link.c"
#include "helpers/link_calls.c"
#include "helpers/panic.c"
#include "helpers/trace.c"
#ifdef YOKE_KUNIT
#include "helpers/test_link.c"
#include "helpers/test_cache.c"
#include "helpers/test_reservation.c"
#endif
