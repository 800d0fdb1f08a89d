/* User and group ids, capabilities, and what setuid-like calls do to them. Needs root. */
#include "tests/guest/guest.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static void show_ids(const char *what)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	getresuid(&r, &e, &s);
	getresgid(&rg, &eg, &sg);
	printf("%s: uid %d %d %d gid %d %d %d fs %d %d\n", what, r, e, s, rg, eg, sg, setfsuid(-1),
	       setfsgid(-1));
}

static void caps(const char *what)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {0};

	syscall(SYS_capget, &h, d);
	/* only whether some that every root has are there */
	printf("%s: setuid %d %d kill %d %d any %d %d %d\n", what, !!(d[0].permitted & (1 << CAP_SETUID)),
	       !!(d[0].effective & (1 << CAP_SETUID)), !!(d[0].permitted & (1 << CAP_KILL)),
	       !!(d[0].effective & (1 << CAP_KILL)), d[0].permitted != 0, d[0].effective != 0,
	       d[0].inheritable != 0);
}

/* Each case in a process of its own. */
static void in_child(const char *what, void (*fn)(void))
{
	pid_t p;
	int st;

	fflush(stdout);
	p = fork();
	if (p == 0) {
		printf("-- %s\n", what);
		fn();
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, &st, 0);
	if (st)
		show_status(what, st);
}

static void drop_all(void)
{
	SHOW(setgroups(0, NULL));
	SHOW(setgid(1000));
	SHOW(setuid(1000));
	show_ids("dropped");
	caps("dropped");
	SHOW(setuid(0));
	SHOW(setgid(0));
	SHOW(setgroups(0, NULL));
	SHOW(setreuid(0, -1));
	SHOW(setresuid(-1, -1, 0));
	SHOW(setresgid(1000, 1000, 1001));
}

static void back_and_forth(void)
{
	SHOW(seteuid(1000));
	show_ids("euid");
	caps("euid 1000");
	SHOW(kill(1, 0) == 0 || errno == EPERM);
	SHOW(seteuid(0));
	caps("euid 0 again");
	SHOW(setresuid(1000, 1001, 1002));
	show_ids("three");
	caps("three");
	SHOW(setresuid(-1, 1000, -1));
	SHOW(setreuid(1002, 1000));
	SHOW(setreuid(-1, 1002));
	show_ids("three");
	SHOW(setresuid(0, -1, -1));
}

static void reuid(void)
{
	SHOW(setreuid(1000, 0));
	show_ids("reuid");
	SHOW(setreuid(0, 1000));
	show_ids("reuid");
	caps("reuid");
	SHOW(setregid(5, 6));
	show_ids("regid");
}

static void keep(void)
{
	SHOW(prctl(PR_GET_KEEPCAPS));
	SHOW(prctl(PR_SET_KEEPCAPS, 1));
	SHOW(setuid(1000));
	caps("kept");
	SHOW(prctl(PR_SET_KEEPCAPS, 2));
	SHOW(prctl(PR_GET_KEEPCAPS));
}

static void no_fixup(void)
{
	SHOW(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED));
	SHOW(setuid(1000));
	caps("no fixup");
	SHOW(prctl(PR_SET_SECUREBITS, 0));
	SHOW(prctl(PR_GET_SECUREBITS));
}

static void fsids(void)
{
	SHOW(setfsuid(1000));
	SHOW(setfsuid(0));
	SHOW(setfsuid(1000));
	caps("fsuid");
	SHOW(setfsgid(7));
	SHOW(setfsgid(-1));
}

static void groups(void)
{
	gid_t g[4] = {30, 10, 20, 10}, out[8];
	int n;

	SHOW(setgroups(4, g));
	SHOW(n = getgroups(8, out));
	for (int i = 0; i < n; i++)
		printf(" %d", out[i]);
	printf("\n");
	SHOW(getgroups(1, out));
	SHOW(getgroups(-1, out));
	SHOW(getgroups(0, NULL));
	SHOW(setgroups(70000, g));
}

static void ambient(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
	syscall(SYS_capget, &h, d);
	d[0].inheritable = 1 << CAP_KILL;
	SHOW(syscall(SYS_capset, &h, d));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 99, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
	d[0].permitted = d[0].effective = 1 << CAP_KILL;
	d[1].permitted = d[1].effective = d[1].inheritable = 0;
	SHOW(syscall(SYS_capset, &h, d));
	caps("only kill");
	d[0].permitted |= 1 << CAP_SETUID;
	SHOW(syscall(SYS_capset, &h, d));
	SHOW(prctl(PR_CAPBSET_DROP, CAP_SETUID));
	h.version = 5;
	SHOW(syscall(SYS_capget, &h, d));
	SHOW(syscall(SYS_capget, &h, NULL));
	printf("version %x\n", h.version);
	h.pid = 123456;
	SHOW(syscall(SYS_capget, &h, d));
}

static void misc(void)
{
	SHOW(setuid(-1));
	SHOW(setresgid(-1, -1, -1));
	SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 1));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(prctl(PR_GET_DUMPABLE));
	SHOW(prctl(PR_SET_DUMPABLE, 2));
	SHOW(setuid(1000));
	SHOW(prctl(PR_SET_DUMPABLE, 1));
	SHOW(prctl(PR_GET_DUMPABLE));
}

int main(void)
{
	if (getuid() != 0 || setgroups(0, NULL) < 0) {
		printf("needs root\n");
		return 77;
	}
	in_child("drop", drop_all);
	in_child("back and forth", back_and_forth);
	in_child("reuid", reuid);
	in_child("keepcaps", keep);
	in_child("no fixup", no_fixup);
	in_child("fs ids", fsids);
	in_child("groups", groups);
	in_child("ambient", ambient);
	in_child("misc", misc);
	return 0;
}
