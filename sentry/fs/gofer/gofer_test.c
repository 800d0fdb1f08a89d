/* gofer_test.c: the whole way from the vfs to a folder of the host: client, gofer (as a thread), cache. */
#include "sentry/fs/gofer/gofer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "gofer/internal.h"
#include "platform/abi/errno.h"
#include "platform/abi/fs.h"
#include "platform/abi/stat.h"
#include "platform/base/arena.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "tests/harness/fsbox.h"

static struct fsbox box;
static struct server server;
static struct gofer_root roots[1];
static struct gofer_client *client;
static char dir[64];
static char buf[65536];
static int deaths;

static void died(void *arg, const char *why)
{
	(void)arg, (void)why;
	deaths++;
}

static void *serve(void *arg)
{
	server_run(&server, (int)(intptr_t)arg);
	return NULL;
}

static void host_write(const char *name, const char *text)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static const char *host_path(const char *name)
{
	static char path[2][300];
	static int turn;

	turn = !turn; /* two can be used at once */
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static uint32_t few; /* descriptors that each side keeps; 0: the usual number */

static void start(uint32_t flags, bool shared)
{
	struct gofer_mount m = {.shared = shared, .source = "test", .prefix = "/mnt", .max_fds = few};
	struct super *s;
	pthread_t t;
	int fds[2];

	strcpy(dir, "/tmp/gofer-test-XXXXXX");
	cr_assert(mkdtemp(dir));
	cr_assert_eq(mkdir(host_path("d"), 0755), 0);
	chmod(dir, 0755);
	umask(0);
	host_write("d/a", "host a");
	host_write("d/secret", "secret");
	chmod(host_path("d/secret"), 0600);
	cr_assert_eq(symlink("d/a", host_path("link")), 0);
	cr_assert_eq(symlink("/etc/passwd", host_path("d/abs")), 0);
	cr_assert_eq(mkfifo(host_path("fifo"), 0666), 0);
	fsbox_init(&box);
	roots[0] = (struct gofer_root){open(dir, O_PATH | O_DIRECTORY), flags};
	cr_assert_eq(server_init(&server, roots, 1, -1, true), 0);
	if (few)
		server.open_max = few;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	cr_assert_eq(pthread_create(&t, NULL, serve, (void *)(intptr_t)fds[1]), 0);
	cr_assert_eq(gofer_client_create(fds[0], died, NULL, &client), 0);
	cr_assert_eq(gofer_client_root_count(client), 1);
	cr_assert_eq(gofer_super_create(box.v, client, &m, &s), 0);
	fsbox_mount(&box, s);
}

static void finish(void)
{
	char cmd[100];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	cr_assert_eq(system(cmd), 0);
}

static const char *text_of(const char *name)
{
	ssize_t n = fsbox_read(&box, name, buf, sizeof(buf));

	if (n < 0)
		snprintf(buf, sizeof(buf), "error %zd", n);
	return buf;
}

Test(hostfs, reads_files_links_and_directories)
{
	struct kstat st;

	start(GOFER_ROOT_READONLY, false);
	cr_assert_str_eq(text_of("/d/a"), "host a");
	cr_assert_str_eq(text_of("/d/a"), "host a");
	cr_assert_str_eq(text_of("/d/a"), "host a", "from memory, the third time");
	cr_assert_str_eq(text_of("/link"), "host a");
	cr_assert_eq(fsbox_list(&box, "/", buf, sizeof(buf)), 0);
	cr_assert_str_eq(buf, "d fifo link ");
	cr_assert_eq(fsbox_stat(&box, "/d/a", &st), 0);
	cr_assert_eq(st.size, 6);
	cr_assert_eq(st.mode, 0100644);
	cr_assert_eq(fsbox_stat(&box, "/d/none", &st), -ENOENT);
	cr_assert_eq(fsbox_stat(&box, "/d/a/x", &st), -ENOTDIR);
	/* links are the guest's to follow: this one leads to the guest's own /etc */
	cr_assert_eq(fsbox_read(&box, "/d/abs", buf, sizeof(buf)), -ENOENT);
	finish();
}

Test(hostfs, a_read_only_root_refuses_every_change)
{
	struct iattr a = {.valid = ATTR_MODE, .mode = 0777};

	start(GOFER_ROOT_READONLY, false);
	cr_assert_eq(fsbox_write(&box, "/d/a", "x", 0), -EROFS);
	cr_assert_eq(fsbox_write(&box, "/d/new", "x", LINUX_O_CREAT), -EROFS);
	cr_assert_eq(vfs_unlink(&box.at, "/d/a"), -EROFS);
	cr_assert_eq(vfs_mkdir(&box.at, "/d/x", 0755), -EROFS);
	cr_assert_eq(vfs_rename(&box.at, "/d/a", &box.at, "/d/b", 0), -EROFS);
	cr_assert_eq(vfs_setattr(&box.at, "/d/a", 0, &a), -EROFS);
	finish();
}

/* What the server itself says, should a sentry not ask its own rules first. */
Test(hostfs, the_server_refuses_what_the_root_does_not_allow)
{
	struct gofer_req q = {.op = GOFER_ATTACH, .node = 1000};
	struct gofer_attr a;
	int fd;

	start(GOFER_ROOT_READONLY | GOFER_ROOT_PUBLIC, false);
	cr_assert_eq(gofer_call_simple(client, &q, &a, NULL), 0);
	q = (struct gofer_req){.op = GOFER_WALK, .node = 1000, .walk_count = 2};
	q.walk[0] = (struct gofer_step){1001, gofer_name_of("d", 1)};
	q.walk[1] = (struct gofer_step){1002, gofer_name_of("secret", 6)};
	cr_assert_eq(gofer_call_simple(client, &q, NULL, NULL), 0);
	q = (struct gofer_req){.op = GOFER_OPEN, .node = 1002, .flags = GOFER_OPEN_READ};
	cr_assert_eq(gofer_call_simple(client, &q, &a, &fd), -EACCES);
	q = (struct gofer_req){.op = GOFER_OPEN, .node = 1002, .flags = GOFER_OPEN_WRITE};
	cr_assert_eq(gofer_call_simple(client, &q, &a, &fd), -EROFS);
	q = (struct gofer_req){.op = GOFER_CREATE, .node = 1001, .node2 = 1003, .mode = 0644, .flags = 3};
	q.name = gofer_name_of("x", 1);
	cr_assert_eq(gofer_call_simple(client, &q, &a, &fd), -EROFS);
	q = (struct gofer_req){.op = GOFER_UNLINK, .node = 1001};
	q.name = gofer_name_of("a", 1);
	cr_assert_eq(gofer_call_simple(client, &q, NULL, NULL), -EROFS);
	/* ids it never heard of, ids that exist, names below files */
	q = (struct gofer_req){.op = GOFER_GETATTR, .node = 77};
	cr_assert_eq(gofer_call_simple(client, &q, &a, NULL), -ESTALE);
	q = (struct gofer_req){.op = GOFER_ATTACH, .node = 1000};
	cr_assert_eq(gofer_call_simple(client, &q, &a, NULL), -EEXIST);
	q = (struct gofer_req){.op = GOFER_WALK, .node = 1002, .walk_count = 1};
	q.walk[0] = (struct gofer_step){1005, gofer_name_of("x", 1)};
	cr_assert_eq(gofer_call_simple(client, &q, NULL, NULL), -ENOTDIR);
	/* another file in the place of a known one isn't taken for it */
	q = (struct gofer_req){.op = GOFER_OPEN, .node = 1010, .bind_count = 1, .flags = 1};
	q.binds[0] = (struct gofer_bind){1010, 1001, 1, 1, gofer_name_of("a", 1)};
	cr_assert_eq(gofer_call_simple(client, &q, &a, &fd), -ESTALE);
	/* a FIFO is never opened */
	q = (struct gofer_req){.op = GOFER_OPEN, .node = 1011, .bind_count = 1, .flags = 1};
	q.binds[0] = (struct gofer_bind){1011, 1000, 0, 0, gofer_name_of("fifo", 4)};
	cr_assert_eq(gofer_call_simple(client, &q, &a, &fd), -ENXIO);
	cr_assert_eq(deaths, 0);
	finish();
}

static void changes(void)
{
	struct iattr a = {.valid = ATTR_MODE, .mode = 0600};
	struct kstat st;
	struct file *f;
	struct uio u;

	cr_assert_eq(fsbox_write(&box, "/d/new", "hello", LINUX_O_CREAT | LINUX_O_EXCL), 0);
	cr_assert_eq(fsbox_write(&box, "/d/new", " world", LINUX_O_APPEND), 0);
	cr_assert_str_eq(text_of("/d/new"), "hello world");
	cr_assert_eq(fsbox_stat(&box, "/d/new", &st), 0);
	cr_assert_eq(st.size, 11);
	cr_assert_eq(vfs_setattr(&box.at, "/d/new", 0, &a), 0);
	cr_assert_eq(fsbox_stat(&box, "/d/new", &st), 0);
	cr_assert_eq(st.mode, 0100600);
	a = (struct iattr){.valid = ATTR_SIZE, .size = 5};
	cr_assert_eq(vfs_setattr(&box.at, "/d/new", 0, &a), 0);
	cr_assert_str_eq(text_of("/d/new"), "hello");
	cr_assert_eq(vfs_mkdir(&box.at, "/d/sub", 0750), 0);
	cr_assert_eq(vfs_rename(&box.at, "/d/new", &box.at, "/d/sub/moved", 0), 0);
	cr_assert_eq(fsbox_stat(&box, "/d/new", &st), -ENOENT);
	cr_assert_str_eq(text_of("/d/sub/moved"), "hello");
	cr_assert_eq(access(host_path("d/sub/moved"), F_OK), 0);
	cr_assert_eq(vfs_link(&box.at, "/d/sub/moved", 0, &box.at, "/d/second"), 0);
	cr_assert_eq(fsbox_stat(&box, "/d/second", &st), 0);
	cr_assert_eq(st.nlink, 2);
	cr_assert_eq(vfs_symlink(&box.at, "second", "/d/sym"), 0);
	cr_assert_str_eq(text_of("/d/sym"), "hello");
	cr_assert_eq(vfs_rmdir(&box.at, "/d/sub"), -ENOTEMPTY);
	/* a directory moves with what is in it */
	cr_assert_eq(vfs_rename(&box.at, "/d/sub", &box.at, "/top", 0), 0);
	cr_assert_str_eq(text_of("/top/moved"), "hello");
	/* a removed file lives as long as it is open */
	cr_assert_eq(fsbox_open(&box, "/top/moved", LINUX_O_RDWR, &f), 0);
	cr_assert_eq(vfs_unlink(&box.at, "/top/moved"), 0);
	cr_assert_eq(vfs_unlink(&box.at, "/d/second"), 0);
	cr_assert_eq(vfs_unlink(&box.at, "/d/sym"), 0);
	uio_init_kernel(&u, (char *)"J", 1);
	cr_assert_eq(file_write(f, &u), 1);
	cr_assert_eq(file_read_kernel(f, buf, 5, 0), 5);
	cr_assert(!memcmp(buf, "Jello", 5));
	a = (struct iattr){.valid = ATTR_MODE, .mode = 0640};
	cr_assert_eq(vfs_setattr_path(&f->path, box.cred, &a), 0);
	cr_assert_eq(vfs_stat_path(&f->path, LINUX_STATX_BASIC_STATS, &st), 0);
	cr_assert_eq(st.mode, 0100640);
	cr_assert_eq(st.nlink, 0);
	file_put(f);
	cr_assert_eq(vfs_rmdir(&box.at, "/top"), 0);
	cr_assert_eq(fsbox_list(&box, "/", buf, sizeof(buf)), 0);
	cr_assert_str_eq(buf, "d fifo link ");
}

Test(hostfs, changes_reach_the_host_exclusive)
{
	start(0, false);
	changes();
	finish();
}

Test(hostfs, changes_reach_the_host_shared)
{
	start(0, true);
	changes();
	finish();
}

Test(hostfs, a_shared_mount_sees_what_the_host_changes)
{
	struct kstat st;

	start(0, true);
	cr_assert_str_eq(text_of("/d/a"), "host a");
	host_write("d/a", "changed by host");
	cr_assert_str_eq(text_of("/d/a"), "changed by host");
	cr_assert_eq(fsbox_stat(&box, "/d/later", &st), -ENOENT);
	host_write("d/later", "x");
	usleep(12000);
	cr_assert_eq(fsbox_stat(&box, "/d/later", &st), 0);
	unlink(host_path("d/later"));
	usleep(12000);
	cr_assert_eq(fsbox_stat(&box, "/d/later", &st), -ENOENT);
	/* replaced by another file of the same name */
	cr_assert_eq(rename(host_path("d/secret"), host_path("d/a")), 0);
	usleep(12000);
	cr_assert_str_eq(text_of("/d/a"), "secret");
	finish();
}

Test(hostfs, large_directories_are_listed_whole, .timeout = 60)
{
	static char names[200000];
	struct kstat st;
	int count = 0;

	start(0, false);
	for (int i = 0; i < 3000; i++) {
		char name[64];

		snprintf(name, sizeof(name), "d/file-number-%d", i);
		host_write(name, "x");
	}
	cr_assert_eq(fsbox_list(&box, "/d", names, sizeof(names)), 0);
	for (char *p = names; *p; p++)
		count += *p == ' ';
	cr_assert_eq(count, 3003);
	for (int i = 0; i < 3000; i++) {
		char name[64];

		snprintf(name, sizeof(name), "/d/file-number-%d", i);
		cr_assert_eq(fsbox_stat(&box, name, &st), 0);
	}
	cr_assert_eq(fsbox_stat(&box, "/d/file-number-3000", &st), -ENOENT);
	finish();
}

static void *hammer(void *arg)
{
	unsigned x = (unsigned)(uintptr_t)arg;
	struct kstat st;

	for (int i = 0; i < 300; i++) {
		char name[64], text[16];

		x = x * 1664525u + 1013904223u;
		snprintf(name, sizeof(name), "/d/h%u", (x >> 16) % 20);
		switch ((x >> 8) % 5) {
		case 0:
			(void)fsbox_write(&box, name, "hammer", LINUX_O_CREAT);
			break;
		case 1:
			(void)!vfs_unlink(&box.at, name);
			break;
		case 2:
			(void)!fsbox_stat(&box, name, &st);
			break;
		case 3:
			(void)!vfs_rename(&box.at, name, &box.at, "/d/h0", 0);
			break;
		default:
			(void)!fsbox_read(&box, name, text, sizeof(text));
		}
	}
	return NULL;
}

Test(hostfs, many_threads_share_the_connections, .timeout = 60)
{
	pthread_t t[6];

	start(0, false);
	for (uintptr_t i = 0; i < 6; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, hammer, (void *)(i + 1)), 0);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(deaths, 0);
	cr_assert_str_eq(text_of("/d/a"), "host a");
	finish();
}

Test(hostfs, a_gofer_that_is_gone_gives_eio)
{
	struct gofer_req stop = {.op = GOFER_STOP};
	struct kstat st;

	start(0, false);
	cr_assert_eq(gofer_call_simple(client, &stop, NULL, NULL), 0);
	cr_assert_eq(fsbox_stat(&box, "/d/a", &st), -EIO);
	cr_assert_eq(fsbox_stat(&box, "/d/a", &st), -EIO);
	cr_assert_eq(deaths, 1);
	cr_assert(gofer_client_is_dead(client));
	finish();
}

Test(hostfs, below_an_overlay_nothing_reaches_the_host)
{
	struct super *lower, *upper, *s;
	struct gofer_mount m = {.below_overlay = true, .prefix = "/"};

	start(GOFER_ROOT_READONLY, false);
	cr_assert_eq(tmpfs_register(box.v), 0);
	cr_assert_eq(tmpfs_super_create(box.v, "upper", NULL, true, &upper), 0);
	cr_assert_eq(gofer_super_create(box.v, client, &m, &lower), 0);
	cr_assert_eq(overlay_over_super(box.v, upper, lower, &s), 0);
	super_put(upper);
	super_put(lower);
	fsbox_mount(&box, s);
	cr_assert_str_eq(text_of("/d/a"), "host a");
	cr_assert_eq(fsbox_write(&box, "/d/a", "guest", 0), 0);
	cr_assert_str_eq(text_of("/d/a"), "guesta");
	cr_assert_eq(vfs_unlink(&box.at, "/link"), 0);
	cr_assert_eq(fsbox_write(&box, "/d/x", "x", LINUX_O_CREAT), 0);
	cr_assert_eq(fsbox_list(&box, "/d", buf, sizeof(buf)), 0);
	cr_assert_str_eq(buf, "a abs secret x ");
	cr_assert_eq(access(host_path("d/x"), F_OK), -1);
	finish();
}

static void model(bool shared)
{
	struct fsbox m;
	struct super *s;

	start(0, shared);
	cr_assert_eq(vfs_unlink(&box.at, "/fifo"), 0);
	cr_assert_eq(vfs_unlink(&box.at, "/link"), 0);
	cr_assert_eq(vfs_unlink(&box.at, "/d/a"), 0);
	cr_assert_eq(vfs_unlink(&box.at, "/d/abs"), 0);
	cr_assert_eq(vfs_unlink(&box.at, "/d/secret"), 0);
	m = box;
	cr_assert_eq(tmpfs_register(box.v), 0);
	cr_assert_eq(tmpfs_super_create(box.v, "model", NULL, false, &s), 0);
	fsbox_mount(&m, s);
	cr_assert_eq(vfs_mkdir(&m.at, "/d", 0755), 0);
	fsbox_compare_changes(&box, &m, 3000);
	finish();
}

Test(hostfs, behaves_as_a_plain_file_system_exclusive, .timeout = 120)
{
	model(false);
}

Test(hostfs, behaves_as_a_plain_file_system_shared, .timeout = 120)
{
	model(true);
}

Test(hostfs, works_with_few_descriptors, .timeout = 120)
{
	few = 3;
	model(false);
}

Test(hostfs, files_far_below_what_the_server_knows_are_found)
{
	char path[512] = "";
	struct kstat st;

	start(0, false);
	/* three of a kind at each level, so that the tree is seen to be walked and listed ahead */
	for (int i = 0; i < 9; i++) {
		char dirs[3][600];

		for (int j = 0; j < 3; j++) {
			snprintf(dirs[j], sizeof(dirs[j]), "%s/x%d", path, j);
			cr_assert_eq(mkdir(host_path(dirs[j]), 0755), 0);
		}
		strcpy(path, dirs[2]);
	}
	strcat(path, "/file");
	host_write(path, "deep");
	path[0] = 0;
	for (int i = 0; i < 9; i++) {
		cr_assert_eq(fsbox_list(&box, path[0] ? path : "/", buf, sizeof(buf)), 0);
		for (int j = 0; j < 3; j++) {
			char sub[600];

			snprintf(sub, sizeof(sub), "%s/x%d", path, j);
			cr_assert_eq(fsbox_list(&box, sub, buf, sizeof(buf)), 0);
		}
		strcat(path, "/x2");
	}
	strcat(path, "/file");
	cr_assert_eq(fsbox_stat(&box, path, &st), 0);
	cr_assert_str_eq(text_of(path), "deep");
	cr_assert_eq(vfs_rename(&box.at, "/x2/x2", &box.at, "/d/moved", 0), 0);
	cr_assert_str_eq(text_of("/d/moved/x2/x2/x2/x2/x2/x2/x2/file"), "deep");
	vfs_shrink(box.v, 0);
	cr_assert_str_eq(text_of("/d/moved/x2/x2/x2/x2/x2/x2/x2/file"), "deep");
	finish();
}
