/* settings.c: numbers in /proc/sys that root can change: one, several on a line, bounds, what they do. */
#include <sys/ipc.h>
#include <sys/msg.h>

#include "guest.h"

static long number(const char *file)
{
	char buf[64] = "";
	int fd = open(file, O_RDONLY);

	MUST(fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0);
	close(fd);
	return atol(buf);
}

static long change(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);
	long n;
	int e;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	e = errno;
	close(fd);
	errno = e;
	return n;
}

#define MSGMAX "/proc/sys/kernel/msgmax"
#define PIPE   "/proc/sys/fs/pipe-max-size"

int main(void)
{
	char old[64], text[64];
	int q, p[2];
	struct {
		long type;
		char text[200];
	} m = {1, ""};

	(void)snprintf(old, sizeof(old), "%ld", number(MSGMAX));
	if (change(MSGMAX, old) < 0) {
		printf("settings can't be changed here: %s\n", strerror(errno));
		return 77;
	}
	q = msgget(IPC_PRIVATE, 0600 | IPC_CREAT);
	MUST(q >= 0);
	SHOW(change(MSGMAX, "100\n"));
	SHOW(number(MSGMAX));
	SHOW(msgsnd(q, &m, 101, 0));
	SHOW(msgsnd(q, &m, 100, 0));
	SHOW(change(MSGMAX, "-1"));
	SHOW(change(MSGMAX, "x"));
	SHOW(change(MSGMAX, " 200 "));
	SHOW(number(MSGMAX));
	SHOW(msgsnd(q, &m, 101, 0));
	MUST(change(MSGMAX, old) > 0);
	msgctl(q, IPC_RMID, NULL);
	(void)snprintf(text, sizeof(text), "%ld", number(PIPE));
	MUST(pipe(p) == 0);
	SHOW(change(PIPE, "131072"));
	SHOW(number(PIPE));
	SHOW(change(PIPE, text) > 0);
	if (fork() == 0) {
		MUST(setgid(65534) == 0 && setuid(65534) == 0);
		SHOW(change(PIPE, "131072"));
		SHOW(access("/proc/sys/kernel/sem", R_OK));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	return 0;
}
