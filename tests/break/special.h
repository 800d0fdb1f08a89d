/* special.h: attempts that only one of the two programs makes, where calls are allowed and other walls must
 * hold. Each table ends with a name of NULL. */
#pragma once

#include "tests/break/attempts.h"

extern const struct attempt special_sentry[], special_gofer[];

long special_int80(int where);
