/* version.c: `sbx version`. */
#include <stdio.h>

#include "sentry/cmd/cmd.h"

#define SBX_VERSION "0.1.0"

int cmd_version(int argc, char **argv)
{
	(void)argc, (void)argv;
	puts("sbx version " SBX_VERSION "\nspec: 1.2.0");
	return 0;
}
