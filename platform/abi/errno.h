/* errno.h: the E* numbers (those of <asm/errno.h>, the same for guest and host) and the kernel-internal
 * ones, which never reach a guest: they say how a system call that a signal interrupted is restarted. */
#pragma once

#include <asm/errno.h>

#define ERESTARTSYS	      512 /* restart if SA_RESTART */
#define ERESTARTNOINTR	      513 /* restart always */
#define ERESTARTNOHAND	      514 /* restart if no handler ran */
#define ERESTART_RESTARTBLOCK 516 /* restart with remaining time */
