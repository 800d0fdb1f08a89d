/* keys.c: add_key(2), request_key(2), keyctl(2): rings of one's own, names, contents, permissions, links, the
 * ends of keys. Numbers of keys never show. */
#include <sys/syscall.h>

#include "guest.h"

#define THREAD	-1
#define PROCESS -2
#define SESSION -3

enum {
	GET_ID,
	JOIN,
	UPDATE,
	REVOKE,
	CHOWN,
	SETPERM,
	DESCRIBE,
	CLEAR,
	LINK,
	UNLINK,
	SEARCH,
	READ,
	INSTANTIATE,
	NEGATE,
	SET_DEFAULT,
	TIMEOUT,
	ASSUME,
	SECURITY,
	TO_PARENT,
	REJECT,
	INSTANTIATE_IOV,
	INVALIDATE,
	MOVE = 30,
	CAPABILITIES,
};

static long ctl(int cmd, long a, long b, long c, long d)
{
	return syscall(SYS_keyctl, cmd, a, b, c, d);
}

static long add(const char *type, const char *desc, const char *data, size_t n, int ring)
{
	return syscall(SYS_add_key, type, desc, data, n, ring);
}

static void describe(const char *what, long id)
{
	char buf[256] = "";
	char *perm;
	int semi = 0;

	printf("%s %ld:", what, ctl(DESCRIBE, id, (long)buf, sizeof(buf), 0) > 0 ? 1L : -1L);
	for (perm = buf; *perm && semi < 3; perm++)
		semi += *perm == ';';
	printf(" %.*s %s\n", (int)strcspn(buf, ";"), buf, perm);
}

static void making(long ring)
{
	long k = add("user", "a:one", "hello", 5, (int)ring), again;
	char buf[16] = "";

	MUST(k > 0);
	describe("user", k);
	SHOW(ctl(READ, k, (long)buf, sizeof(buf), 0));
	puts(buf);
	SHOW(ctl(READ, k, (long)buf, 2, 0));
	again = add("user", "a:one", "other", 5, (int)ring);
	printf("same %d\n", again == k);
	SHOW(ctl(UPDATE, k, (long)"xyz", 3, 0));
	SHOW(ctl(READ, k, 0, 0, 0));
	SHOW(ctl(UPDATE, k, (long)"", 0, 0));
	SHOW(add("user", "a:one", NULL, 0, (int)ring));
	SHOW(add("user", "", "x", 1, (int)ring));
	SHOW(add("user", NULL, "x", 1, (int)ring));
	SHOW(add("nonsense", "a", "x", 1, (int)ring));
	SHOW(add(".user", "a", "x", 1, (int)ring));
	SHOW(add("keyring", ".a", NULL, 0, (int)ring));
	SHOW(add("keyring", "a", "x", 1, (int)ring));
	SHOW(add("logon", "nocolon", "x", 1, (int)ring));
	SHOW(add("user", "a", "x", 1, (int)k));
	SHOW(add("user", "a", "x", 1, 0));
	SHOW(add("user", "a", "x", 1, -6));
	SHOW(add("user", "a", "x", 1, 0x7ffffff1));
	SHOW(add("user", "a", (char *)1, 5, (int)ring));
	SHOW(add("user", "a", "x", 1 << 20, (int)ring));
	k = add("logon", "svc:me", "secret", 6, (int)ring);
	MUST(k > 0);
	describe("logon", k);
	SHOW(ctl(READ, k, (long)buf, sizeof(buf), 0));
}

static void finding(long ring)
{
	long sub = add("keyring", "sub", NULL, 0, (int)ring), k, id;
	int ids[8];

	MUST(sub > 0);
	describe("keyring", sub);
	k = add("user", "deep", "1234", 4, (int)sub);
	MUST(k > 0);
	id = ctl(SEARCH, ring, (long)"user", (long)"deep", 0);
	printf("found %d\n", id == k);
	id = syscall(SYS_request_key, "user", "deep", NULL, 0);
	printf("requested %d\n", id == k);
	SHOW(ctl(SEARCH, ring, (long)"user", (long)"missing", 0));
	SHOW((int)syscall(SYS_request_key, "user", "missing", NULL, 0));
	SHOW(ctl(SEARCH, k, (long)"user", (long)"missing", 0));
	SHOW(ctl(LINK, k, ring, 0, 0));
	SHOW(ctl(LINK, ring, sub, 0, 0));
	SHOW(ctl(LINK, sub, sub, 0, 0));
	SHOW(ctl(LINK, k, k, 0, 0));
	SHOW(ctl(READ, sub, (long)ids, sizeof(ids), 0));
	printf("holds %d\n", ids[0] == k);
	SHOW(ctl(UNLINK, k, sub, 0, 0));
	SHOW(ctl(UNLINK, k, sub, 0, 0));
	SHOW(ctl(UNLINK, sub, k, 0, 0));
	SHOW(ctl(MOVE, k, ring, sub, 0));
	SHOW(ctl(MOVE, k, ring, sub, 0));
	SHOW(ctl(MOVE, k, sub, ring, 2));
	SHOW(ctl(CLEAR, k, 0, 0, 0));
	SHOW(ctl(CLEAR, sub, 0, 0, 0));
	SHOW(ctl(READ, sub, (long)ids, sizeof(ids), 0));
}

static void ending(long ring)
{
	long k = add("user", "end", "1234", 4, (int)ring);

	MUST(k > 0);
	SHOW(ctl(SETPERM, k, 0x80, 0, 0));
	SHOW(ctl(TIMEOUT, k, 1000, 0, 0));
	SHOW(ctl(REVOKE, k, 0, 0, 0));
	SHOW(ctl(REVOKE, k, 0, 0, 0));
	SHOW((int)syscall(SYS_request_key, "user", "end", NULL, 0));
	SHOW(ctl(READ, k, 0, 0, 0));
	k = add("user", "end", "1234", 4, (int)ring);
	SHOW(ctl(INVALIDATE, k, 0, 0, 0));
	SHOW((int)syscall(SYS_request_key, "user", "end", NULL, 0));
	k = add("user", "dark", "1234", 4, (int)ring);
	SHOW(ctl(SETPERM, k, 0x20000000, 0, 0)); /* possessor: only its attributes */
	SHOW(ctl(DESCRIBE, k, 0, 0, 0));
	SHOW(ctl(UPDATE, k, (long)"x", 1, 0));
	SHOW(ctl(REJECT, k, 10, 0, 0));
	SHOW(ctl(REJECT, k, 10, 5, 0));
	SHOW(ctl(ASSUME, -1, 0, 0, 0));
	SHOW(ctl(ASSUME, k, 0, 0, 0));
	SHOW(ctl(ASSUME, 0, 0, 0, 0));
	SHOW(ctl(SET_DEFAULT, -1, 0, 0, 0));
	SHOW(ctl(SET_DEFAULT, 3, 0, 0, 0));
	SHOW(ctl(SET_DEFAULT, 6, 0, 0, 0));
	SHOW(ctl(SET_DEFAULT, 0, 0, 0, 0));
	SHOW(ctl(12345, 0, 0, 0, 0));
}

/* Nobody can be asked to make a key: a negative one says so for a while. */
static void negative(long ring)
{
	int ids[32];
	long n, k = 0;

	SHOW(syscall(SYS_request_key, "user", "neg:ative", "please", ring));
	n = ctl(READ, ring, (long)ids, sizeof(ids), 0) / (long)sizeof(int);
	for (long i = 0; i < n; i++) {
		char buf[256] = "";

		if (ctl(DESCRIBE, ids[i], (long)buf, sizeof(buf), 0) > 0 && strstr(buf, ";neg:ative"))
			k = ids[i];
	}
	MUST(k > 0);
	SHOW(ctl(READ, k, (long)ids, sizeof(ids), 0));
	SHOW(syscall(SYS_request_key, "user", "neg:ative", NULL, 0));
	SHOW(ctl(SETPERM, ring, 0x3f010000 & ~0x04000000, 0, 0)); /* may not be written */
	SHOW(syscall(SYS_request_key, "user", "no:where", "please", 0));
	SHOW(ctl(SETPERM, ring, 0x3f3f0000, 0, 0));
	printf("real %d\n", add("user", "neg:ative", "x", 1, (int)ring) == k);
}

/* Thread and process rings stay with whom they belong to; the session's goes on. */
static void inheriting(void)
{
	long session = ctl(GET_ID, SESSION, 0, 0, 0), process = ctl(GET_ID, PROCESS, 1, 0, 0);
	int st;

	MUST(session > 0 && process > 0);
	SHOW(ctl(GET_ID, THREAD, 0, 0, 0));
	SHOW(ctl(GET_ID, THREAD, 1, 0, 0) > 0);
	if (fork() == 0) {
		printf("session kept %d\n", ctl(GET_ID, SESSION, 0, 0, 0) == session);
		SHOW(ctl(GET_ID, PROCESS, 0, 0, 0));
		SHOW(ctl(GET_ID, THREAD, 0, 0, 0));
		SHOW(ctl(JOIN, (long)".bad", 0, 0, 0));
		printf("other %d\n", ctl(JOIN, 0, 0, 0, 0) != session);
		fflush(stdout);
		_exit(0);
	}
	MUST(wait(&st) > 0);
	printf("still %d\n", ctl(GET_ID, SESSION, 0, 0, 0) == session);
	describe("session", SESSION);
	describe("process", PROCESS);
	describe("thread", THREAD);
}

int main(void)
{
	long ring;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (ctl(JOIN, 0, 0, 0, 0) < 0) {
		printf("no keyrings here: %s\n", strerror(errno));
		return 77;
	}
	ring = ctl(GET_ID, SESSION, 0, 0, 0);
	MUST(ring > 0);
	making(ring);
	finding(ring);
	ending(ring);
	negative(ring);
	inheriting();
	return 0;
}
