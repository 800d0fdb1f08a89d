/* cred_test.c: capability transitions, user namespaces and limits. */
#include <criterion/criterion.h>
#include <string.h>

#include "platform/abi/errno.h"
#include "platform/base/arena.h"
#include "sentry/cred/cred.h"

static struct user_ns *init_ns;

static struct cred *make(uint32_t uid)
{
	struct cred *c;

	cr_assert_eq(cred_create(init_ns, uid, uid, uid ? 0 : CAPSET_ALL, &c), 0);
	c->bounding = CAPSET_ALL;
	return c;
}

static void setup(void)
{
	cr_assert_eq(arena_init(), 0);
	cr_assert_eq(user_ns_create(NULL, NULL, &init_ns), 0);
}

static void teardown(void)
{
	struct arena_stats st;

	user_ns_put(init_ns);
	arena_stats(&st);
	cr_assert_eq(st.objects, 0);
}

Test(cred, setuid_drops_and_regains)
{
	struct cred *root, *c;

	setup();
	root = make(0);
	cr_assert_eq(cred_copy(root, &c), 0);
	c->euid = c->fsuid = 1000; /* seteuid: the saved id is still root */
	cred_fixup_setuid(c, root);
	cr_assert_eq(c->effective, 0);
	cr_assert_eq(c->permitted, CAPSET_ALL);
	root->euid = root->fsuid = 1000;
	root->effective = 0;
	c->euid = c->fsuid = 0; /* and back */
	cred_fixup_setuid(c, root);
	cr_assert_eq(c->effective, CAPSET_ALL);
	root->euid = root->fsuid = 0;
	root->effective = CAPSET_ALL;
	c->uid = c->euid = c->suid = c->fsuid = 1000; /* for good */
	c->ambient = 1;
	cred_fixup_setuid(c, root);
	cr_assert(c->permitted == 0 && c->effective == 0 && c->ambient == 0);
	c->permitted = CAPSET_ALL;
	c->securebits = LINUX_SECBIT_KEEP_CAPS;
	cred_fixup_setuid(c, root);
	cr_assert_eq(c->permitted, CAPSET_ALL);
	cr_assert_eq(c->effective, 0);
	cred_put(c);
	cred_put(root);
	teardown();
}

Test(cred, exec_transitions)
{
	struct cred *user, *root, *c;
	bool secure;

	setup();
	user = make(1000);
	root = make(0);
	cr_assert_eq(cred_exec(root, ID_INVALID, ID_INVALID, &secure, &c), 0);
	cr_assert(c->effective == CAPSET_ALL && !secure);
	cred_put(c);
	cr_assert_eq(cred_exec(user, 0, ID_INVALID, &secure, &c), 0);
	cr_assert(c->euid == 0 && c->uid == 1000 && c->suid == 0 && c->effective == CAPSET_ALL && secure);
	cred_put(c);
	user->no_new_privs = true;
	cr_assert_eq(cred_exec(user, 0, ID_INVALID, &secure, &c), 0);
	cr_assert(c->euid == 1000 && c->effective == 0 && !secure);
	cred_put(c);
	/* ambient capabilities survive, and go with a set-id file */
	user->no_new_privs = false;
	user->permitted = user->inheritable = user->ambient = CAP_BIT(LINUX_CAP_NET_BIND_SERVICE);
	cr_assert_eq(cred_exec(user, ID_INVALID, ID_INVALID, &secure, &c), 0);
	cr_assert(c->effective == user->ambient && c->permitted == user->ambient && !secure);
	cred_put(c);
	cr_assert_eq(cred_exec(user, ID_INVALID, 5, &secure, &c), 0);
	cr_assert(c->effective == 0 && c->egid == 5 && secure);
	cred_put(c);
	cred_put(user);
	cred_put(root);
	teardown();
}

Test(cred, capset_only_takes_away)
{
	struct cred *c;

	setup();
	c = make(0);
	cr_assert_eq(cred_capset(c, 1, 3, 0), 0);
	cr_assert_eq(cred_capset(c, 1, 7, 0), -EPERM);
	cr_assert_eq(cred_capset(c, 3, 1, 0), -EPERM);
	cr_assert_eq(cred_capset(c, 0, 0, 4), -EPERM);
	cr_assert_eq(cred_capset(c, 0, 0, 1), 0);
	cred_put(c);
	teardown();
}

Test(cred, groups_are_searched)
{
	uint32_t g[5] = {70, 3, 900, 3, 12};
	struct cred *c;

	setup();
	c = make(1000);
	cr_assert_eq(cred_set_groups(c, g, 5), 0);
	cr_assert(cred_in_group(c, 900) && cred_in_group(c, 3) && cred_in_group(c, 12) &&
		  cred_in_group(c, 1000));
	cr_assert(!cred_in_group(c, 4) && !cred_in_group(c, 901));
	cr_assert_eq(cred_set_groups(c, g, 65537), -EINVAL);
	cred_put(c);
	teardown();
}

Test(cred, user_namespace_maps)
{
	struct cred *user, *inside;
	struct user_ns *ns;
	struct id_extent e;

	setup();
	user = make(1000);
	cr_assert_eq(user_ns_create(init_ns, user, &ns), 0);
	cr_assert_eq(cred_copy(user, &inside), 0);
	cred_enter_user_ns(inside, ns);
	cr_assert_eq(user_ns_to_kuid(ns, 0), ID_INVALID);
	cr_assert_eq(user_ns_from_kuid(ns, 1000), OVERFLOW_ID);
	cr_assert(cred_has_cap_in(inside, LINUX_CAP_SYS_ADMIN, ns));
	cr_assert(!cred_has_cap_in(inside, LINUX_CAP_SYS_ADMIN, init_ns));
	cr_assert(cred_has_cap_in(user, LINUX_CAP_SYS_ADMIN, ns));		     /* its owner */
	cr_assert_eq(user_ns_write_map(ns, false, "0 1001 1\n", 9, inside), -EPERM); /* not one's own */
	cr_assert_eq(user_ns_write_map(ns, false, "0 1000 2\n", 9, inside), -EPERM);
	cr_assert_eq(user_ns_write_map(ns, false, "0 1000\n", 7, inside), -EINVAL);
	cr_assert_eq(user_ns_write_map(ns, false, "0 1000 1", 8, inside), 0);
	cr_assert_eq(user_ns_write_map(ns, false, "0 1000 1", 8, inside), -EPERM); /* once */
	cr_assert_eq(user_ns_to_kuid(ns, 0), 1000);
	cr_assert_eq(user_ns_from_kuid(ns, 1000), 0);
	cr_assert_eq(user_ns_write_map(ns, true, "0 1000 1\n", 9, inside), -EPERM); /* setgroups first */
	cr_assert_eq(user_ns_write_setgroups(ns, "deny", 4), 0);
	cr_assert_eq(user_ns_write_map(ns, true, "0 1000 1\n", 9, inside), 0);
	cr_assert(!user_ns_may_setgroups(ns));
	cr_assert(user_ns_map_extent(ns, false, 0, init_ns, &e));
	cr_assert(e.inside == 0 && e.outside == 1000 && e.count == 1);
	cr_assert(!user_ns_map_extent(ns, false, 1, init_ns, &e));
	cred_put(inside);
	cred_put(user);
	user_ns_put(ns);
	teardown();
}

Test(cred, limits)
{
	struct rlimits l;
	struct linux_rlimit n = {2048, 4096}, old;

	setup();
	rlimits_init(&l);
	cr_assert_eq(rlimit_change(&l, LINUX_RLIMIT_NOFILE, &n, &old, false), 0);
	cr_assert_eq(old.rlim_cur, 1024);
	cr_assert_eq(rlimit_cur(&l, LINUX_RLIMIT_NOFILE), 2048);
	n.rlim_max = 8192;
	cr_assert_eq(rlimit_change(&l, LINUX_RLIMIT_NOFILE, &n, NULL, false), -EPERM);
	cr_assert_eq(rlimit_change(&l, LINUX_RLIMIT_NOFILE, &n, NULL, true), 0);
	n.rlim_cur = 10000;
	cr_assert_eq(rlimit_change(&l, LINUX_RLIMIT_NOFILE, &n, NULL, true), -EINVAL);
	cr_assert_eq(rlimit_change(&l, 16, &n, NULL, true), -EINVAL);
	teardown();
}
