/* boot.h: what PID 1 does before it talks to anybody. */
#pragma once

#include "cvm-host/kbs/util.h"

/* Modules of the initrd (/modules, in order of their names), then no more of them; mounts; a root of its own in
 * memory with the sandbox's programs in /sbx. */
MUST_CHECK int boot_setup(struct err *e);
/* The processor's generator and the kernel's: both answer, neither repeats itself. */
MUST_CHECK int boot_check_random(struct err *e);
/* The broker's time: never before the manifest's min_epoch or the clock's own past since the start. */
MUST_CHECK int boot_set_time(int64_t iat, int64_t min_epoch, struct err *e);
/* Whether a file of /sys says exactly that (a last newline aside). */
bool sysfs_is(const char *path, const char *want);
