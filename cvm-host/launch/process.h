/* process.h: the programs that a launcher starts, and the folder that they have in common with it. One launcher
 * a process, of one thread: the kernel kills a program when the thread that started it ends. */
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "cvm-host/kbs/util.h"

#define FOLDER_MAX 64

/* Starts argv[0] (looked up in PATH) in folder dir, with standard error and the descriptors that are not
 * close-on-exec: no network, no way to gain privileges, no core, killed when the launcher ends however it ends.
 * Started by root it runs as user and group 65534 without further groups, or not at all where that or the
 * namespace is refused. Started by anybody else it runs as the caller, and may read what the caller may read;
 * its network is its own only where the caller may make a user namespace. mask: the signals that it finds
 * blocked. The process id, or -1. */
pid_t process_start(const char *const *argv, const char *dir, const sigset_t *mask);
/* Kills and collects it. pid <= 0: nothing. */
void process_end(pid_t pid);

/* A new folder in /tmp that only processes of process_start() enter, with a folder "tpm" in it. */
MUST_CHECK int folder_make(char dir[FOLDER_MAX], struct err *e);
/* It and whatever is in it, once nobody is left who could change it. dir may be empty. */
void folder_remove(const char *dir);
