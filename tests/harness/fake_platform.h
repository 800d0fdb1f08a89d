/* fake_platform.h: a platform for unit tests: address spaces are tables of pages in this process, checked
 * for what a host would check. Nothing runs; contexts return the events that the test queued. */
#pragma once

#include "platform/platform.h"

struct fake_page {
	struct fake_page *next;
	uaddr_t addr;
	uint32_t prot;
	bool shared;
	int fd;		 /* -1: anonymous */
	uint64_t offset; /* of the page in fd */
	uint64_t stamp;	 /* identity of the contents: kept by moves, fresh for each new page */
	uint8_t *data;	 /* private contents, once touched */
	bool cut;	 /* the host has a boundary of its own before this page */
};

#define FAKE_BUCKETS 4096

struct fake_aspace {
	struct aspace as;
	struct fake_page *pages[FAKE_BUCKETS];
	uint64_t count;
};

struct fake_context {
	struct context c;
	struct guest_regs regs;
	struct run_event events[16];
	uint32_t event_count, event_next;
	int64_t result; /* the last set_result */
	uint32_t kicks;
};

struct fake_platform {
	struct platform p;
	uint64_t next_stamp;
	uint32_t spaces, contexts; /* alive: a leak check */
	uint32_t calls;		   /* mapping calls so far */
	uint32_t fail_at;	   /* the mapping call with this number fails with -ENOMEM; 0: none */
};

extern const struct platform_ops fake_platform_ops;

/* With a vDSO at a fixed place if asked for. */
struct fake_platform *fake_platform_create(bool vdso);
struct fake_page *fake_page_find(struct fake_aspace *s, uaddr_t addr);
static inline struct fake_aspace *fake_space(struct context *c)
{
	return (struct fake_aspace *)c->as;
}
/* Makes the host see a boundary before addr, across which it moves nothing. */
void fake_cut(struct fake_aspace *s, uaddr_t addr);
void fake_queue_event(struct context *c, const struct run_event *ev);
