/* errname.h: what the numbers of errors and signals are called; no locale, no state. */
#pragma once

/* "ENOENT"; NULL: there is no such number. */
const char *err_name(int number);
/* "No such file or directory"; NULL. */
const char *err_text(int number);
/* "HUP"; NULL: not one of 1 to 31. */
const char *signal_name(int number);
