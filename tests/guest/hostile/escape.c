/* escape.c: ways out that must all fail: names that climb out of the root, links, /proc tricks, descriptors
 * that were never given, raw and 32-bit system calls, segments, int 0x80, vsyscall, the kernel's own pages.
 * Prints what got through; the last line says whether anything did. */
#include "../guest.h"
#include <setjmp.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>

static int bad;

#define REFUSED(expr)                                                                                          \
	do {                                                                                                   \
		errno = 0;                                                                                     \
		if ((long)(expr) >= 0) {                                                                       \
			printf("GOT THROUGH: %s\n", #expr);                                                    \
			bad++;                                                                                 \
		}                                                                                              \
	} while (0)

static sigjmp_buf env;

static void on_fault(int sig)
{
	siglongjmp(env, sig);
}

/* What must fault: reading or writing the kernel's own part of the address space. */
static void touch(uintptr_t addr)
{
	if (sigsetjmp(env, 1) == 0) {
		*(volatile char *)addr = 1;
		printf("GOT THROUGH: write to %lx\n", (long)addr);
		bad++;
	}
}

int main(void)
{
	struct stat root, up;
	char buf[4096];
	int fd;

	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	signal(SIGILL, on_fault);
	signal(SIGTRAP, on_fault);
	signal(SIGSYS, on_fault);
	/* descriptors of the kernel's process */
	for (fd = 3; fd < 1024; fd++)
		REFUSED(fcntl(fd, F_GETFD));
	stat("/", &root);
	stat("/../../../../..", &up);
	if (root.st_ino != up.st_ino || root.st_dev != up.st_dev) {
		puts("GOT THROUGH: .. above the root");
		bad++;
	}
	mkdir("/tmp/jail", 0755);
	symlink("/etc/shadow", "/tmp/link");
	symlink("../../../../../../etc/shadow", "/tmp/link2");
	if (access("/etc/shadow", F_OK) == 0) {
		REFUSED(open("/etc/shadow", O_RDONLY));
		REFUSED(open("/tmp/link", O_RDONLY));
		REFUSED(open("/tmp/link2", O_RDONLY));
	}
	/* host processes and their files */
	for (int pid = 1; pid < 40000; pid += pid < 100 ? 1 : 997) {
		snprintf(buf, sizeof(buf), "/proc/%d/root/etc/shadow", pid);
		REFUSED(open(buf, O_RDONLY));
		snprintf(buf, sizeof(buf), "/proc/%d/mem", pid);
		if (pid != getpid() && (fd = open(buf, O_RDWR)) >= 0 && pread(fd, buf, 8, 0x400000) > 0 &&
		    getpid() != 1 && pid == 1) {
			puts("GOT THROUGH: memory of another process");
			bad++;
		}
	}
	REFUSED(open("/proc/kcore", O_RDONLY));
	REFUSED(open("/dev/mem", O_RDONLY));
	REFUSED(open("/dev/kmem", O_RDONLY));
	REFUSED(open("/dev/vda", O_RDONLY));
	REFUSED(open("/dev/kvm", O_RDWR));
	REFUSED(open("/proc/sysrq-trigger", O_WRONLY));
	REFUSED(open("/proc/sys/kernel/core_pattern", O_WRONLY) >= 0 &&
				write(open("/proc/sys/kernel/core_pattern", O_WRONLY), "|/tmp/x", 7) == 7
			? 0
			: -1);
	REFUSED(open("/sys/kernel/uevent_helper", O_WRONLY));
	REFUSED(ptrace(PTRACE_ATTACH, 2, 0, 0) == 0 && getppid() != 2 ? 0 : -1);
	REFUSED(syscall(SYS_bpf, 0, 0, 0));
	REFUSED(syscall(SYS_init_module, buf, 10, ""));
	REFUSED(syscall(SYS_kexec_load, 0, 0, 0, 0));
	REFUSED(syscall(SYS_iopl, 3));
	REFUSED(syscall(SYS_ioperm, 0x70, 2, 1));
	REFUSED(syscall(SYS_perf_event_open, buf, 0, -1, -1, 0));
	REFUSED(syscall(SYS_userfaultfd, 0));
	REFUSED(syscall(SYS_open_by_handle_at, -100, buf, 0));
	REFUSED(mount("/dev/vda", "/tmp/jail", "ext4", 0, NULL));
	/* the kernel's pages */
	for (uintptr_t a = 0x7e8000000000; a < 0x7e8000010000; a += 4096)
		touch(a);
	touch(0x7ec000000000);
	/* the page behind it may be the guest's: on ptrace mincore(2) answers there */
	touch(0xffffffffff600000);
	REFUSED((long)mmap((void *)0x7ec000000000, 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) < 0
			? -1
			: 0);
	/* nothing of the guest's is there: succeeds without effect, as anywhere, or is refused */
	munmap((void *)0x7ec000000000, 4096);
	REFUSED(mprotect((void *)0x7ec000000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	/* 32-bit entry: must not run a host call (getpid is 20 there; 1 is exit) */
	if (sigsetjmp(env, 1) == 0) {
		long r;

		__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
		if (r > 0) {
			printf("GOT THROUGH: int 0x80 getpid gave %ld\n", r);
			bad++;
		}
	}
	if (sigsetjmp(env, 1) == 0)
		__asm__ volatile("mov $0x33, %%eax\n mov %%eax, %%gs\n" ::: "eax");
	printf("%s\n", bad ? "ESCAPED" : "still here");
	return bad != 0;
}
