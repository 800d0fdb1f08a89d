/* procfd.h: the numbers of two descriptors that sbx-sentry is started with. */
#pragma once

/* Where sbx leaves two folders for the sentry, whose root is empty: a /proc that numbers processes as it does
 * and whose links can't be followed (or, where the host allows no such mount, just /proc/self of it), and
 * /proc/self/fd. Fixed numbers, as the list of host calls names them. */
#define PROC_DIR_FD 300
#define PROC_FDS_FD 301
