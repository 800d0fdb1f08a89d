/* attempts.h: what a program that was taken over tries. Linked into copies of sbx-sentry and sbx-gofer, which
 * make every attempt in a process of its own, at the point where the program confines itself. */
#pragma once

struct attempt {
	const char *name;
	long nr; /* the system call; -1: func */
	long arg[6];
	int held[3]; /* errors that mean that a wall held; none: the list must end the process */
	/* 0 or above: through; -1: errno. where: a descriptor to start from */
	long (*func)(int where);
};

#define SENTRY_ATTEMPT 1
#define GOFER_ATTEMPT  2

/* Forks a process for each attempt, which confines itself as the program does, and prints one line about each:
 * "held", "killed" (by SIGSYS) or "through". */
void attempts_make(int who, int where, int (*confine)(void));
