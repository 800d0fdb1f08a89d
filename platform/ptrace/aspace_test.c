/* aspace_test.c: address spaces: fork, threads, exec, mappings, copies, extended state. */
#include "platform/ptrace/ptrace_test.h"

TestSuite(ptrace_aspace, .init = setup, .fini = teardown, .timeout = 30);

/* ---- fork, threads, exec ---- */

Test(ptrace_aspace, fork_copies_memory_and_registers)
{
	struct context *c = START(count), *child;
	uint64_t v;

	OPS->regs(c, true)->rdi = DATA;
	expect_call(c, 2, DATA);
	OPS->regs(c, true)->rbx = 99;
	cr_assert_eq(OPS->context_fork(c, &child), 0);
	regs_set_result(OPS->regs(child, true), 0);
	cr_assert_eq(OPS->context_bind(child), 0);
	OPS->set_result(c, 55);
	for (int i = 0; i < 3; i++)
		expect_call(c, 2, DATA);
	expect_call(child, 2, DATA);
	cr_assert_eq(OPS->regs(child, false)->rbx, 99);
	cr_assert_eq(OPS->copy_in(child->as, child, &v, DATA, 8), 8);
	cr_assert_eq(v, 2);
	cr_assert_eq(OPS->copy_in(c->as, NULL, &v, DATA, 8), 8);
	cr_assert_eq(v, 4);
	cr_assert_neq(pid_of(c), pid_of(child));
	OPS->context_destroy(c);
	expect_call(child, 2, DATA);
	OPS->context_destroy(child);
}

Test(ptrace_aspace, fork_of_a_fork_and_unbound_children)
{
	struct context *c = START(count), *child, *grandchild, *unbound;

	OPS->regs(c, true)->rdi = DATA;
	cr_assert_eq(OPS->context_fork(c, &child), 0);
	cr_assert_eq(OPS->context_fork(c, &unbound), 0);
	cr_assert_eq(OPS->context_bind(child), 0);
	cr_assert_eq(OPS->context_fork(child, &grandchild), 0);
	OPS->context_destroy(c);
	OPS->context_destroy(child);
	cr_assert_eq(OPS->context_bind(grandchild), 0);
	expect_call(grandchild, 2, DATA);
	OPS->context_destroy(grandchild);
	OPS->context_destroy(unbound);
}

struct worker {
	struct context *c;
	int calls, forks;
	bool failed;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct run_event ev;

	if (OPS->context_bind(w->c)) {
		w->failed = true;
		return NULL;
	}
	for (int i = 0; i < w->calls; i++) {
		if (OPS->run(w->c, &ev) || ev.reason != RUN_SYSCALL || ev.nr != 2)
			w->failed = true;
		OPS->set_result(w->c, 0);
		if (i < w->forks) {
			struct context *child;

			if (OPS->context_fork(w->c, &child) || OPS->context_bind(child) ||
			    OPS->run(child, &ev) || ev.reason != RUN_SYSCALL)
				w->failed = true;
			else
				OPS->context_destroy(child);
		}
	}
	OPS->context_destroy(w->c);
	return NULL;
}

Test(ptrace_aspace, threads_share_memory)
{
	struct context *c = START(count);
	struct worker w[4];
	pthread_t thread[4];
	uint64_t v;

	OPS->regs(c, true)->rdi = DATA;
	for (int i = 0; i < 4; i++) {
		w[i] = (struct worker){.calls = 200, .forks = 20};
		cr_assert_eq(OPS->context_thread(c, &w[i].c), 0);
		cr_assert_eq(w[i].c->as, c->as);
		pthread_create(&thread[i], NULL, worker_main, &w[i]);
	}
	for (int i = 0; i < 200; i++)
		expect_call(c, 2, DATA);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		cr_assert_not(w[i].failed);
	}
	cr_assert_eq(OPS->copy_in(c->as, c, &v, DATA, 8), 8);
	cr_assert_eq(v, 1000);
	OPS->context_destroy(c);
}

Test(ptrace_aspace, first_thread_may_end_first)
{
	struct context *c = START(count), *other, *never;
	uint64_t v;

	OPS->regs(c, true)->rdi = DATA;
	cr_assert_eq(OPS->context_thread(c, &other), 0);
	cr_assert_eq(OPS->context_thread(c, &never), 0);
	cr_assert_eq(OPS->context_bind(other), 0);
	OPS->context_destroy(c);
	expect_call(other, 2, DATA);
	map(other, DATA + PAGE_SIZE, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	cr_assert_eq(OPS->copy_in(other->as, other, &v, DATA, 8), 8);
	cr_assert_eq(OPS->copy_in(other->as, NULL, &v, DATA, 8), 8);
	OPS->context_destroy(never);
	expect_call(other, 2, DATA);
	OPS->context_destroy(other);
}

Test(ptrace_aspace, exec_in_place_forgets_the_old_image)
{
	struct context *c = START(count);
	struct aspace *old = c->as;
	int pid = pid_of(c);
	char byte;

	aspace_get(old);
	OPS->regs(c, true)->rdi = DATA;
	expect_call(c, 2, DATA);
	cr_assert_eq(OPS->context_new_aspace(c), 0);
	cr_assert_neq(c->as, old);
	cr_assert_eq(pid_of(c), pid);
	cr_assert_eq(OPS->copy_in(c->as, c, &byte, DATA, 1), 0);
	cr_assert_eq(OPS->copy_in(old, NULL, &byte, CODE, 1), 0);
	aspace_put(old);
	load(c, guest_calls, guest_calls_end);
	expect_call(c, 39, 1);
	OPS->context_destroy(c);
}

Test(ptrace_aspace, exec_beside_other_threads_takes_a_new_process)
{
	struct context *c = START(count), *other;

	OPS->regs(c, true)->rdi = DATA;
	cr_assert_eq(OPS->context_thread(c, &other), 0);
	cr_assert_eq(OPS->context_bind(other), 0);
	cr_assert_eq(OPS->context_new_aspace(other), 0);
	cr_assert_neq(pid_of(c), pid_of(other));
	load(other, guest_calls, guest_calls_end);
	expect_call(other, 39, 1);
	expect_call(c, 2, DATA);
	cr_assert_eq(OPS->context_new_aspace(c), 0);
	load(c, guest_calls, guest_calls_end);
	expect_call(c, 39, 1);
	OPS->context_destroy(c);
	OPS->context_destroy(other);
}

Test(ptrace_aspace, a_guest_that_unmapped_the_vdso_gets_it_back)
{
	struct context *c = START(load);
	uint64_t v;

	cr_assert_eq(OPS->unmap(c, plat->vdso_start, plat->vdso_end - plat->vdso_start), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, &v, plat->vdso_start, 8), 0);
	cr_assert_eq(OPS->context_new_aspace(c), 0);
	load(c, guest_load, guest_load_end);
	OPS->regs(c, true)->rdi = plat->vdso_start;
	expect_call(c, 1, plat->vdso_start);
	OPS->context_destroy(c);
}

/* ---- memory ---- */

Test(ptrace_aspace, copies_stop_at_the_first_bad_page)
{
	struct context *c = START(load);
	static char buf[3 * PAGE_SIZE];

	map(c, DATA, 2 * PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	cr_assert_eq(OPS->unmap(c, DATA + 2 * PAGE_SIZE, PAGE_SIZE), 0);
	memset(buf, 7, sizeof(buf));
	cr_assert_eq(OPS->copy_out(c->as, c, DATA + 10, buf, sizeof(buf)), 2 * PAGE_SIZE - 10);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA + PAGE_SIZE + 1, sizeof(buf)), PAGE_SIZE - 1);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA + 2 * PAGE_SIZE, 1), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA, 0), 0);
	/* protections hold: read-only text, no access */
	cr_assert_eq(OPS->copy_out(c->as, c, CODE, buf, 1), 0);
	cr_assert_eq(OPS->protect(c, DATA + PAGE_SIZE, PAGE_SIZE, 0), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, DATA, sizeof(buf)), PAGE_SIZE);
	/* outside of the guest */
	cr_assert_eq(OPS->copy_in(c->as, c, buf, STUB_TEXT, 1), 0);
	cr_assert_eq(OPS->copy_out(c->as, c, STUB_SCRATCH, buf, 1), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, UINT64_MAX - 4, 100), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, buf, GUEST_VA_END, 100), 0);
	OPS->context_destroy(c);
}

Test(ptrace_aspace, poke_passes_write_protection)
{
	struct context *c = START(calls);
	const uint8_t trap = 0xcc;

	cr_assert_eq(OPS->poke(c->as, CODE, &trap, 1), 1);
	expect_fault(c, SIGTRAP, SI_KERNEL, 0);
	cr_assert_eq(OPS->poke(c->as, STUB_TEXT, &trap, 1), 0);
	cr_assert_eq(OPS->poke(c->as, 0x10000000, &trap, 1), 0);
	OPS->context_destroy(c);
}

Test(ptrace_aspace, remap_moves_grows_and_shrinks)
{
	struct context *c = START(load);
	uint64_t v = 0x1122334455667788UL, got;
	uaddr_t to = 0x10000000;

	map(c, DATA, 2 * PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE);
	OPS->copy_out(c->as, c, DATA + PAGE_SIZE, &v, 8);
	cr_assert_eq(OPS->remap(c, DATA, 2 * PAGE_SIZE, to, 4 * PAGE_SIZE, LINUX_MREMAP_MAYMOVE), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, &got, to + PAGE_SIZE, 8), 8);
	cr_assert_eq(got, v);
	cr_assert_eq(OPS->copy_in(c->as, c, &got, DATA, 8), 0);
	cr_assert_eq(OPS->remap(c, to, 4 * PAGE_SIZE, to, PAGE_SIZE, 0), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, &got, to + PAGE_SIZE, 8), 0);
	cr_assert_eq(OPS->remap(c, to, PAGE_SIZE, to, 2 * PAGE_SIZE, 0), 0);
	cr_assert_eq(OPS->copy_in(c->as, c, &got, to + PAGE_SIZE, 8), 8);
	cr_assert_eq(OPS->remap(c, to, PAGE_SIZE, SBX_STUB_START, PAGE_SIZE, 0), -EINVAL);
	OPS->context_destroy(c);
}

Test(ptrace_aspace, the_hole_and_what_lies_outside_are_refused)
{
	struct context *c = START(calls);
	struct map_request r = {.addr = SBX_STUB_START, .size = PAGE_SIZE, .fd = -1};

	cr_assert_eq(OPS->map(c, &r), -EINVAL);
	r.addr = 0x1000;
	r.size = GUEST_VA_END - 0x2000;
	cr_assert_eq(OPS->map(c, &r), -EINVAL);
	r.addr = CODE + 1;
	cr_assert_eq(OPS->map(c, &r), -EINVAL);
	cr_assert_eq(OPS->unmap(c, SBX_HOLE_START - PAGE_SIZE, 2 * PAGE_SIZE), -EINVAL);
	cr_assert_eq(OPS->unmap(c, 0x20000, UINT64_MAX - 0xffff), -EINVAL);
	cr_assert_eq(OPS->protect(c, STUB_SCRATCH, PAGE_SIZE, LINUX_PROT_EXEC), -EINVAL);
	cr_assert_eq(OPS->advise(c, STUB_TEXT, PAGE_SIZE, LINUX_MADV_DONTFORK), -EINVAL);
	cr_assert_eq(OPS->advise(c, DATA, PAGE_SIZE, LINUX_MADV_MERGEABLE), -EINVAL);
	expect_call(c, 39, 1);
	OPS->context_destroy(c);
}

Test(ptrace_aspace, files_are_mapped_shared_and_private)
{
	struct context *c = START(count), *child;
	int fd = memfd_create_sized("test", PAGE_SIZE); /* made after the zygote */
	struct map_request r = {.addr = DATA,
				.size = 2 * PAGE_SIZE,
				.fd = fd,
				.shared = true,
				.prot = LINUX_PROT_READ | LINUX_PROT_WRITE};
	uint64_t v = 10;
	uint8_t vec[2];

	cr_assert_geq(fd, 0);
	hc_pwrite(fd, &v, 8, 0);
	cr_assert_eq(OPS->map(c, &r), 0);
	r.shared = false;
	r.addr = DATA + 16 * PAGE_SIZE;
	cr_assert_eq(OPS->map(c, &r), 0);
	hc_close(fd);
	OPS->regs(c, true)->rdi = DATA;
	expect_call(c, 2, DATA);
	cr_assert_eq(OPS->context_fork(c, &child), 0);
	cr_assert_eq(OPS->context_bind(child), 0);
	expect_call(child, 2, DATA);
	OPS->copy_in(c->as, c, &v, DATA, 8);
	cr_assert_eq(v, 12);
	OPS->copy_in(c->as, c, &v, r.addr, 8);
	cr_assert_eq(v, 12); /* not touched yet: the file's */
	v = 1;
	OPS->copy_out(c->as, c, r.addr, &v, 8);
	OPS->copy_in(child->as, child, &v, r.addr, 8);
	cr_assert_eq(v, 12);
	cr_assert_eq(OPS->mincore(c, DATA, PAGE_SIZE, vec), 0);
	cr_assert_eq(vec[0], 1);
	/* beyond the end of the file */
	OPS->regs(c, true)->rdi = DATA + PAGE_SIZE;
	expect_fault(c, SIGBUS, BUS_ADRERR, DATA + PAGE_SIZE);
	OPS->context_destroy(c);
	OPS->context_destroy(child);
}

Test(ptrace_aspace, cmpxchg)
{
	struct context *c = START(count);
	uint32_t v = 5, expected = 5;

	OPS->copy_out(c->as, c, DATA, &v, 4);
	cr_assert_eq(OPS->cmpxchg_u32(c, DATA, &expected, 6), 0);
	cr_assert_eq(expected, 5);
	cr_assert_eq(OPS->cmpxchg_u32(c, DATA, &expected, 9), 0);
	cr_assert_eq(expected, 6);
	OPS->copy_in(c->as, c, &v, DATA, 4);
	cr_assert_eq(v, 6);
	cr_assert_eq(OPS->cmpxchg_u32(c, 0x20000, &expected, 1), -EFAULT);
	cr_assert_eq(OPS->cmpxchg_u32(c, CODE, &expected, 1), -EFAULT);
	cr_assert_eq(OPS->cmpxchg_u32(c, DATA + 2, &expected, 1), -EFAULT);
	cr_assert_eq(OPS->cmpxchg_u32(c, STUB_SCRATCH, &expected, 1), -EFAULT);
	cr_assert_eq(OPS->cmpxchg_u32(c, 0xffff888000000000UL, &expected, 1), -EFAULT);
	OPS->regs(c, true)->rdi = DATA;
	expect_call(c, 2, DATA);
	OPS->context_destroy(c);
}

/* ---- extended state ---- */

Test(ptrace_aspace, fpstate_is_kept_inherited_and_reset)
{
	struct context *c = START(xmm), *child;
	uint64_t features;
	size_t max = OPS->fpstate_size(plat, &features), size = max;
	uint8_t *buf = kmalloc(max);

	cr_assert_geq(max, 576);
	cr_assert_eq(features & 3, 3);
	OPS->regs(c, true)->rdi = 0xabcdef;
	expect_call(c, 3, 0xabcdef);
	cr_assert_eq(OPS->context_fork(c, &child), 0);
	cr_assert_eq(OPS->context_bind(child), 0);
	expect_call(child, 4, 0xabcdef);
	cr_assert_eq(OPS->fpstate_get(c, buf, &size), 0);
	cr_assert_eq(*(uint64_t *)(buf + 160 + 5 * 16), 0xabcdef);
	*(uint64_t *)(buf + 160 + 5 * 16) = 0x55;
	cr_assert_eq(OPS->fpstate_set(c, buf, size), 0);
	expect_call(c, 4, 0x55);
	/* legacy part alone */
	*(uint64_t *)(buf + 160 + 5 * 16) = 0x66;
	cr_assert_eq(OPS->fpstate_set(c, buf, 512), 0);
	OPS->regs(c, true)->rip = CODE + 5 + 5 + 2;
	expect_call(c, 4, 0x66);
	cr_assert_eq(OPS->context_new_aspace(c), 0);
	size = max;
	cr_assert_eq(OPS->fpstate_get(c, buf, &size), 0);
	cr_assert_eq(*(uint64_t *)(buf + 160 + 5 * 16), 0);
	cr_assert_eq(*(uint32_t *)(buf + 24), 0x1f80);
	OPS->context_destroy(c);
	OPS->context_destroy(child);
	kfree(buf);
}

Test(ptrace_aspace, hostile_fpstate_is_refused)
{
	struct context *c = START(xmm);
	uint64_t features;
	size_t max = OPS->fpstate_size(plat, &features), size = max;
	uint8_t *buf = kmalloc(max), *bad = kmalloc(max);

	cr_assert_eq(OPS->fpstate_get(c, buf, &size), 0);
	for (int i = 0; i < 5; i++) {
		memcpy(bad, buf, size);
		if (i == 0)
			memset(bad + 512, 0xff, 8); /* unknown features */
		else if (i == 1)
			bad[512 + 8 + 7] = 0x80; /* compacted */
		else if (i == 2)
			bad[512 + 40] = 1; /* reserved */
		else if (i == 3)
			memset(bad + 24, 0xff, 4), bad[512] |= 3; /* MXCSR */
		cr_assert_eq(OPS->fpstate_set(c, bad, i == 4 ? 100 : size), -EINVAL, "case %d", i);
	}
	OPS->regs(c, true)->rdi = 3;
	expect_call(c, 3, 3);
	OPS->context_destroy(c);
	kfree(buf);
	kfree(bad);
}
