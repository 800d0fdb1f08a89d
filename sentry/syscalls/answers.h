/* answers.h: answers about names and descriptors that the platform may give again (context_answer): what they
 * rest on is noted before they are found, and handed on with them. All of it does nothing where the platform
 * has no use for it. */
#pragma once

#include "sentry/syscalls/internal.h"

#define LISTED_MAX 256u /* entries of one listing */
#define FORESIGHT                                                                                              \
	4u /* listings (or opened files) that the platform is told of after somebody asked about one, */
#define LISTED_USED 4u /* and on and on while so many of a listing's entries are asked for */

/* A call's question, on the stack of its handler. */
struct question {
	struct task *t; /* NULL: nobody wants to know */
	int dirfd;
	uint64_t dir; /* ANSWER_DIR_* or the directory's */
	uint32_t fd_word;
	uint64_t fd_value;
	char *name; /* owned, or NULL */
	bool by_fd;
	struct vfs_basis basis;
};

/* Before anything is looked up. dirfd: of the name, or the descriptor itself. */
void question_begin(struct question *q, struct task *t, int dirfd);
/* It is about a name. Makes the lookup through n tell what it rests on. */
void question_name(struct question *q, struct at_name *n);
/* It is about an open file; before its attributes are read. */
void question_file(struct question *q, struct file *f);
/* It is about an entry of the open directory dir, whose descriptor is q's. The name is borrowed. */
void question_listed(struct question *q, struct file *dir, const char *name);
/* The lookup ended with ret: tells if the name is missing. */
void question_missing(struct question *q, const struct at_name *n, bool follow, int ret);
/* An answer, after it was found. */
void question_answer(struct question *q, enum answer_kind kind, uint32_t flags, uint32_t mode, const void *out,
		     uint32_t size);
void question_end(struct question *q);
/* Is t likely to ask for each entry of the directory that it reads? */
bool listing_wanted(struct task *t);
/* Is t likely to ask for the attributes of what it has just opened? */
bool fstat_wanted(struct task *t);

/* sys_stat.c. For those who open files and ask for their size; and for readers of directories, who will ask for
 * each entry. names: size bytes of dirents, as getdents64(2) gave them for descriptor fd, which is dir. */
void stat_opened(struct task *t, int fd);
void stat_listed(struct task *t, int fd, struct file *dir, const char *names, size_t size);
