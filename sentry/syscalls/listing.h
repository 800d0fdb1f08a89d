/* listing.h: the system call table for people. */
#pragma once

struct strbuf;

/* Markdown: one table per level. */
void syscalls_list(struct strbuf *out);
