/* cmd_volume.c: `sbx volume` and `sbx log`: the owner's tools for volumes and sealed logs. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cvm-host/cvm.h"
#include "cvm-host/kbs/jose.h"
#include "cvm-host/volume/sealedlog.h"
#include "cvm-host/volume/volume.h"

#define CHUNK	(1u << 20)
#define LOG_MAX ((size_t)1 << 30)

static const char usage_text[] =
	"usage: sbx volume format --key KEY --anchor FILE --size BYTES VOLUME\n"
	"       sbx volume import --key KEY --anchor FILE VOLUME <DATA    writes it from the volume's "
	"beginning\n"
	"       sbx volume export --key KEY --anchor FILE VOLUME >DATA\n"
	"       sbx volume check  --key KEY --anchor FILE VOLUME          reads every block\n"
	"       sbx volume bench  --key KEY --anchor FILE VOLUME          figures; OVERWRITES it\n"
	"       sbx log read --owner KEY.pem LOG                          prints what a guest has logged\n\n"
	"KEY is a file of 32 bytes. FILE keeps epoch and root, as the broker does for a guest: keep it away "
	"from the disk.\n";

struct args {
	const char *key, *anchor, *owner;
	uint64_t size;
	bool bad;
};

static int load_key(const struct args *a, uint8_t key[32], struct err *e)
{
	struct blob b = {0};
	int ret = load_file(a->key, 32, &b, e);

	if (!ret && b.size != 32)
		ret = err_set(e, -EINVAL, "%s: a key has 32 bytes", a->key);
	if (!ret)
		memcpy(key, b.data, 32);
	blob_free(&b);
	return ret;
}

static int import(struct volume *v, struct err *e)
{
	uint8_t *buf = xcalloc(1, CHUNK);
	uint64_t at = 0;
	size_t n;
	int ret = 0;

	while (!ret && (n = fread(buf, 1, CHUNK, stdin)) > 0) {
		ret = volume_write(v, at, buf, n, e);
		at += n;
	}
	if (!ret && ferror(stdin))
		ret = err_set(e, -EIO, "standard input: %s", strerror(errno));
	if (!ret)
		ret = volume_commit(v, e);
	free(buf);
	return ret;
}

static int export(struct volume *v, FILE *out, struct err *e)
{
	uint8_t *buf = xcalloc(1, CHUNK);
	int ret = 0;

	for (uint64_t at = 0; !ret && at < volume_size(v); at += CHUNK) {
		size_t n = MIN(volume_size(v) - at, (uint64_t)CHUNK);

		ret = volume_read(v, at, buf, n, e);
		if (!ret && out && fwrite(buf, 1, n, out) != n)
			ret = err_set(e, -EIO, "standard output: %s", strerror(errno));
	}
	if (!ret && out && fflush(out) != 0)
		ret = err_set(e, -EIO, "standard output: %s", strerror(errno));
	free(buf);
	return ret;
}

/* Whole volume, 1 MiB at a time: bytes a second. */
static int pass(struct volume *v, bool write, uint8_t *buf, double *rate, struct err *e)
{
	struct timespec a, b;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (uint64_t at = 0; !ret && at < volume_size(v); at += CHUNK) {
		size_t n = MIN(volume_size(v) - at, (uint64_t)CHUNK);

		ret = write ? volume_write(v, at, buf, n, e) : volume_read(v, at, buf, n, e);
	}
	if (!ret && write)
		ret = volume_commit(v, e);
	clock_gettime(CLOCK_MONOTONIC, &b);
	*rate = (double)volume_size(v) /
		((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
	return ret;
}

static int bench(struct volume *v, struct err *e)
{
	uint8_t *buf = xcalloc(1, CHUNK);
	double rate;
	int ret = 0;

	for (int i = 0; !ret && i < 6; i++) {
		ret = pass(v, i % 2 == 0, buf, &rate, e);
		if (!ret)
			printf("%s %.0f MiB/s\n", i % 2 == 0 ? "write and commit" : "read", rate / (1 << 20));
	}
	free(buf);
	return ret;
}

static int with_volume(const struct args *a, const char *verb, int fd, struct err *e)
{
	struct volume_file_anchor file = {a->anchor};
	struct volume_anchor anchor = volume_anchor_file(&file);
	struct volume *v = NULL;
	uint8_t key[32];
	int ret = load_key(a, key, e);

	if (!ret && !strcmp(verb, "format"))
		return volume_format(fd, key, a->size, &anchor, e);
	if (!ret)
		ret = volume_open(fd, key, &anchor, &v, e);
	if (ret)
		return ret;
	if (!strcmp(verb, "import"))
		ret = import(v, e);
	else if (!strcmp(verb, "bench"))
		ret = bench(v, e);
	else
		ret = export(v, !strcmp(verb, "export") ? stdout : NULL, e);
	volume_close(v);
	return ret;
}

static void take_option(int c, struct args *a)
{
	char *end;

	switch (c) {
	case 'k':
		a->key = optarg;
		break;
	case 'a':
		a->anchor = optarg;
		break;
	case 'o':
		a->owner = optarg;
		break;
	case 's':
		errno = 0;
		a->size = strtoull(optarg, &end, 10);
		a->bad |= errno || *end || end == optarg;
		break;
	default:
		a->bad = true;
	}
}

static const struct option options[] = {{"key", required_argument, NULL, 'k'},
					{"anchor", required_argument, NULL, 'a'},
					{"size", required_argument, NULL, 's'},
					{"owner", required_argument, NULL, 'o'},
					{0}};

static int usage(void)
{
	fputs(usage_text, stderr);
	return EXIT_USAGE;
}

int cvm_volume(int argc, char **argv)
{
	static const char *const verbs[] = {"format", "import", "export", "check", "bench", NULL};
	const char *const *verb = verbs;
	struct args a = {0};
	struct err e = {"failed"};
	int c, fd, ret;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		take_option(c, &a);
	if (a.bad || argc - optind != 2 || !a.key || !a.anchor)
		return usage();
	while (*verb && strcmp(*verb, argv[optind]) != 0)
		verb++;
	if (!*verb)
		return usage();
	fd = open(argv[optind + 1], O_RDWR | O_CLOEXEC | (verb == verbs ? O_CREAT | O_EXCL : 0), 0600);
	ret = fd < 0 ? err_set(&e, -errno, "%s: %s", argv[optind + 1], strerror(errno))
		     : with_volume(&a, *verb, fd, &e);
	if (fd >= 0)
		close(fd);
	if (ret)
		cvm_complain("%s", e.text);
	return ret == -EBADMSG || ret == -ESTALE ? EXIT_REFUSED : ret ? EXIT_OWN : 0;
}

static void print_line(void *arg, const void *text, size_t size)
{
	(void)arg;
	fwrite(text, 1, size, stdout);
}

int cvm_log(int argc, char **argv)
{
	struct args a = {0};
	struct err e = {"failed"};
	struct blob log = {0};
	EVP_PKEY *owner = NULL;
	bool closed = false;
	int c, ret;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		take_option(c, &a);
	if (a.bad || argc - optind != 2 || !a.owner || strcmp(argv[optind], "read") != 0)
		return usage();
	ret = key_load(a.owner, &owner, &e);
	if (!ret)
		ret = load_file(argv[optind + 1], LOG_MAX, &log, &e);
	if (!ret)
		ret = sealed_log_read(log.data, log.size, owner, print_line, NULL, &closed, &e);
	fflush(stdout);
	if (ret)
		cvm_complain("%s", e.text);
	else if (!closed)
		cvm_complain(
			"the log does not end as a closed one does: the guest crashed, or the end was cut off");
	EVP_PKEY_free(owner);
	blob_free(&log);
	return ret == -EBADMSG ? EXIT_REFUSED : ret ? EXIT_OWN : closed ? 0 : EXIT_REFUSED;
}
