/* errname.c: see errname.h. The C library's own tables aren't in every C library. */
#include "platform/base/errname.h"

#include <asm/errno.h>
#include <stddef.h>

const char *err_name(int number)
{
	switch (number) {
#define ERROR(name, text)                                                                                      \
	case name:                                                                                             \
		return #name;
#include "platform/base/errors.def"
#undef ERROR
	default:
		return NULL;
	}
}

const char *err_text(int number)
{
	switch (number) {
#define ERROR(name, text)                                                                                      \
	case name:                                                                                             \
		return text;
#include "platform/base/errors.def"
#undef ERROR
	default:
		return NULL;
	}
}

const char *signal_name(int number)
{
	static const char names[][7] = {"HUP",	"INT",	  "QUIT", "ILL",   "TRAP", "ABRT", "BUS",  "FPE",
					"KILL", "USR1",	  "SEGV", "USR2",  "PIPE", "ALRM", "TERM", "STKFLT",
					"CHLD", "CONT",	  "STOP", "TSTP",  "TTIN", "TTOU", "URG",  "XCPU",
					"XFSZ", "VTALRM", "PROF", "WINCH", "POLL", "PWR",  "SYS"};

	return number > 0 && number <= (int)(sizeof(names) / sizeof(names[0])) ? names[number - 1] : NULL;
}
