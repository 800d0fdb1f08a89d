/* smallprint.c: what calls refuse first, and what they say of things nobody has: I/O priorities, kcmp,
 * the relatives of namespaces, indices of System V objects. */
#include <linux/kcmp.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#include "guest.h"

static void priorities(void)
{
	SHOW(syscall(SYS_ioprio_set, 1, 0, 4));
	SHOW(syscall(SYS_ioprio_set, 1, 0, 0));
	SHOW(syscall(SYS_ioprio_set, 4, 0, 0));
	SHOW(syscall(SYS_ioprio_set, 1, 0, 5 << 13));
}

static void comparing(void)
{
	pid_t me = getpid(), child = fork();

	if (child == 0) {
		pause();
		_exit(0);
	}
	SHOW(syscall(SYS_kcmp, me, child, KCMP_SYSVSEM, 0, 0));
	SHOW(syscall(SYS_kcmp, me, child, KCMP_VM, 0, 0) > 0);
	SHOW(syscall(SYS_kcmp, me, me, KCMP_VM, 0, 0));
	SHOW(syscall(SYS_kcmp, me, child, 100, 0, 0));
	kill(child, SIGKILL);
	wait(NULL);
}

static void relatives(void)
{
	int uts = open("/proc/self/ns/uts", O_RDONLY), user = open("/proc/self/ns/user", O_RDONLY), owner;
	int null = open("/dev/null", O_RDONLY);
	struct stat a, b;

	MUST(uts >= 0 && user >= 0);
	owner = ioctl(uts, NS_GET_USERNS);
	MUST(owner >= 0 && fstat(owner, &a) == 0 && fstat(user, &b) == 0);
	printf("owner %d cloexec %d\n", a.st_ino == b.st_ino, fcntl(owner, F_GETFD));
	SHOW(ioctl(owner, NS_GET_NSTYPE));
	SHOW(ioctl(uts, NS_GET_PARENT));
	SHOW(ioctl(user, NS_GET_USERNS));
	SHOW(ioctl(user, NS_GET_PARENT));
	SHOW(ioctl(open("/proc/self/ns/pid", O_RDONLY), NS_GET_PARENT));
	SHOW(ioctl(null, NS_GET_USERNS));
}

/* The highest index is that of an object that exists. */
static void indices(void)
{
	int a = msgget(IPC_PRIVATE, 0600 | IPC_CREAT), b = msgget(IPC_PRIVATE, 0600 | IPC_CREAT), top;
	struct msqid_ds ds;

	MUST(a >= 0 && b >= 0);
	msgctl(b, IPC_RMID, NULL);
	top = msgctl(0, MSG_INFO, (struct msqid_ds *)&(struct msginfo){0});
	printf("found %d\n", msgctl(top, MSG_STAT, &ds) >= 0);
	msgctl(a, IPC_RMID, NULL);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	priorities();
	comparing();
	relatives();
	indices();
	return 0;
}
