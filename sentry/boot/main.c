/* main.c: sbx-sentry. Started by sbx with --config=FD. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netstack/netstack.h"
#include "platform/base/bug.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "sentry/boot/boot.h"
#include "sentry/boot/process.h"
#include "sentry/boot/program.h"
#include "sentry/boot/terminal.h"
#include "sentry/control/proto.h"
#include "sentry/kernel/stats.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/loader.h"
#include "sentry/mem/mem.h"
#include "sentry/socket/inet.h"
#include "sentry/socket/socket.h"
#include "sentry/syscalls/strace.h"
#include "sentry/syscalls/sys.h"

#define EXIT_SBX 125

void control_send(struct boot *b, uint32_t type, int64_t value, const char *data, size_t size)
{
	struct control_msg m = {.type = type, .size = (uint32_t)size, .value = value};
	struct iovec iov[2] = {{&m, sizeof(m)}, {(void *)data, size}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = size ? 2 : 1};

	if (sendmsg(b->control_fd, &h, MSG_NOSIGNAL) < 0)
		log_warn("sbx is gone");
}

void boot_fail(struct boot *b, int status, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	control_send(b, CONTROL_ERROR, status, text, MIN((size_t)n, sizeof(text) - 1));
	_exit(status);
}

static int load_program(struct task *t, struct file *exe, const char *filename, void *exec_args)
{
	return loader_exec(t, exe, filename, exec_args, task_exec_begin);
}

static struct boot *boot_of(struct kernel *k)
{
	return k->ops.arg;
}

static void on_init_exited(struct kernel *k, int status)
{
	struct boot *b = boot_of(k);
	uint64_t one = 1;

	b->exit_status = status;
	__atomic_store_n(&b->exited, 1, __ATOMIC_RELEASE);
	if (write(b->exit_event, &one, sizeof(one)) < 0)
		log_error("cannot tell the control loop of the exit");
}

static void setup_platform(struct boot *b)
{
	const char *name = config_get(&b->config, "platform", NULL);
	const struct platform_ops *ops = platform_select(name);
	int ret;

	if (!ops)
		boot_fail(b, EXIT_SBX, "platform %s: %s (see `sbx run --help`)", name ? name : "(any)",
			  name ? "unknown, or this host can't run it" : "none works on this host");
	ret = ops->create(&b->platform);
	if (ret < 0)
		boot_fail(b, EXIT_SBX, "platform %s cannot start: %s", ops->name, strerror(-ret));
	arena_set_root(ROOT_PLATFORM, b->platform);
	if (config_get(&b->config, "no-spare-cpu", NULL) && ops->no_spare_cpu)
		ops->no_spare_cpu(b->platform);
	ret = process_confine(ops->name, config_get(&b->config, "net-control-fd", NULL) != NULL);
	if (ret < 0)
		boot_fail(b, EXIT_SBX, "the sandbox's kernel cannot confine itself: %s", strerror(-ret));
}

static void setup_tracing(struct boot *b)
{
	if (config_get(&b->config, "statsfd", NULL)) {
		b->kernel->stats = kmalloc(sizeof(*b->kernel->stats));
		if (!b->kernel->stats)
			boot_fail(b, EXIT_SBX, "out of memory");
	}
	if (config_get(&b->config, "stracefd", NULL) &&
	    strace_start(b->kernel, (int)config_get_u64(&b->config, "stracefd", 2), 0, &b->kernel->strace) < 0)
		boot_fail(b, EXIT_SBX, "out of memory");
}

static void boot_sockets(struct boot *b)
{
	if (unix_init() < 0 || netlink_init() < 0 || inet_init() < 0 || packet_init() < 0)
		boot_fail(b, EXIT_SBX, "out of memory");
}

static void net_ns_destroy(struct ns *ns)
{
	boot_net_runner_stop(ns->priv);
	inet_stack_put(ns->priv);
}

/* The first namespace is a machine that has booted, unless --network none; others begin with lo down. */
static int on_net_ns_created(struct kernel *k, struct ns *ns, bool initial)
{
	struct boot *b = k->ops.arg;
	struct net_stack *st;
	int ret = inet_stack_create(
		initial && strcmp(config_get(&b->config, "network", "loopback"), "none") != 0, &st);

	if (ret < 0)
		return ret;
	if (initial) {
		net_stack_get(st);
		b->net = st;
		boot_net(b, st);
	}
	if (!boot_net_runner(k, st)) {
		inet_stack_put(st);
		return -ENOMEM;
	}
	ns->destroy = net_ns_destroy;
	__atomic_store_n(&ns->priv, st, __ATOMIC_RELEASE);
	return 0;
}

static void setup_kernel(struct boot *b)
{
	struct kernel_ops ops = {.syscall = syscall_dispatch,
				 .load = load_program,
				 .init_exited = on_init_exited,
				 .net_ns_created = on_net_ns_created,
				 .arg = b};
	struct kernel_config kc = {
		.cpu_count = (uint32_t)config_get_u64(&b->config, "cpus", 0),
		.max_tasks = (uint32_t)config_get_u64(&b->config, "pids", 0),
		.max_memory = config_get_u64(&b->config, "memory", 0),
		.hostname = config_get(&b->config, "hostname", "sbx"),
	};
	/* sbx looked: there is nothing to look at here */
	uint32_t online = (uint32_t)config_get_u64(&b->config, "host-cpus", 1);
	int ret;

	if (kc.cpu_count == 0 || kc.cpu_count > online)
		kc.cpu_count = online;
	ret = kernel_create(&kc, b->platform, b->vfs, &ops, &b->kernel);
	if (ret < 0)
		boot_fail(b, EXIT_SBX, "cannot create the kernel: %s", strerror(-ret));
	if (config_get(&b->config, "domainname", NULL))
		snprintf(b->kernel->uts_ns->domainname, sizeof(b->kernel->uts_ns->domainname), "%s",
			 config_get(&b->config, "domainname", ""));
	b->kernel->host_memory = b->host_memory;
	arena_set_root(ROOT_KERNEL, b->kernel);
	setup_tracing(b);
	boot_sockets(b);
}

static int config_fd(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--config=", 9) == 0)
			return (int)strtol(argv[i] + 9, NULL, 10);
	return -1;
}

static void start_now(struct boot *b)
{
	struct reason *why = kmalloc(sizeof(*why));

	if (!why)
		boot_fail(b, EXIT_SBX, "out of memory");
	if (boot_program_start(b, why) < 0)
		boot_fail(b, why->status, "%s", why->text);
	b->program_started = true;
	kfree(why);
}

int main(int argc, char **argv)
{
	struct boot *b;
	struct config config;
	int fd, ret;

	if (argc == 2 && strcmp(argv[1], "--syscalls") == 0)
		return syscall_listing(1) < 0;
	fd = config_fd(argc, argv);
	if (fd < 0 || config_open(&config, fd) < 0) {
		fputs("sbx-sentry: started by sbx, not by hand\n", stderr);
		return EXIT_SBX;
	}
	close(fd);
	ret = process_setup();
	log_setup((int)config_get_u64(&config, "logfd", 2),
		  (enum log_level)config_get_u64(&config, "loglevel", LOG_WARN), "sbx-sentry");
	if (ret == 0)
		ret = arena_init();
	if (ret < 0) {
		log_error("cannot set itself up: %s", strerror(-ret));
		return EXIT_SBX;
	}
	b = kmalloc(sizeof(*b));
	BUG_ON(!b);
	b->start_ns = clock_monotonic_ns();
	b->config = config;
	b->control_fd = (int)config_get_u64(&config, "control-fd", 3);
	b->exit_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* files in memory: as a tmpfs by default, no more than half of what the host has */
	b->host_memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE_SIZE;
	mem_init(config_get_u64(&config, "memory", ROUND_DOWN(b->host_memory / 2, PAGE_SIZE)));
	setup_platform(b);
	b->phase_ns[0] = clock_monotonic_ns();
	if (vfs_create(&b->vfs) < 0)
		boot_fail(b, EXIT_SBX, "cannot create the file system: out of memory");
	if (b->platform->words)
		vfs_use_words(b->vfs, b->platform->words);
	setup_kernel(b);
	boot_mounts(b);
	b->phase_ns[1] = clock_monotonic_ns();
	if (clients_create(b) < 0)
		boot_fail(b, EXIT_SBX, "out of memory");
	boot_program_prepare(b);
	if (!config_get_u64(&b->config, "wait", 0))
		start_now(b);
	b->phase_ns[2] = clock_monotonic_ns();
	control_send(b, CONTROL_STARTED, 0, NULL, 0);
	control_serve(b);
	if (__atomic_load_n(&b->exited, __ATOMIC_ACQUIRE)) {
		if (b->program->terminal)
			terminal_drain(b->program->terminal);
		if (config_get(&config, "statsfd", NULL))
			stats_write(b, (int)config_get_u64(&config, "statsfd", 2));
		control_send(b, CONTROL_EXITED, b->exit_status, NULL, 0);
	}
	kernel_shutdown(b->kernel);
	/* the file server's end, beside ours */
	close((int)config_get_u64(&b->config, "gofer-fd", UINT32_MAX));
	_exit(0);
}
