/* cpio.c: archives that are the same for the same input. */
#include "cvm-host/image/cpio.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cvm-host/kbs/merkle.h"

#define HEAD	   110u
#define FILE_LIMIT ((size_t)1 << 30)
static const char trailer[] = "TRAILER!!!";

void cpio_add(struct cpio_tree *t, const char *path, uint32_t mode, const void *data, size_t size)
{
	struct cpio_entry *n;

	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->entry = realloc(t->entry, t->room * sizeof(*t->entry));
		if (!t->entry)
			abort();
	}
	n = &t->entry[t->count++];
	*n = (struct cpio_entry){.path = xstrdup(path), .mode = mode};
	blob_set(&n->data, data, size);
}

static int add_one(struct cpio_tree *t, const char *from, const char *path, struct err *e)
{
	struct blob b = {0};
	struct stat st;
	char target[4096];
	ssize_t n;
	int ret = 0;

	if (lstat(from, &st) < 0)
		return err_set(e, -errno, "%s: %s", from, strerror(errno));
	if (S_ISDIR(st.st_mode)) {
		cpio_add(t, path, S_IFDIR | 0755, NULL, 0);
		return cpio_add_dir(t, from, path, e);
	}
	if (S_ISLNK(st.st_mode)) {
		n = readlink(from, target, sizeof(target));
		if (n <= 0 || n == (ssize_t)sizeof(target))
			return err_set(e, -EINVAL, "%s: no link", from);
		cpio_add(t, path, S_IFLNK | 0777, target, (size_t)n);
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s: neither file, folder nor link", from);
	ret = load_file(from, FILE_LIMIT, &b, e);
	if (!ret)
		cpio_add(t, path, S_IFREG | (st.st_mode & 0111 ? 0755 : 0644), b.data, b.size);
	blob_free(&b);
	return ret;
}

int cpio_add_dir(struct cpio_tree *t, const char *dir, const char *prefix, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	int ret = 0;

	if (!d)
		return err_set(e, -errno, "%s: %s", dir, strerror(errno));
	while (!ret && (de = readdir(d))) {
		char *from, *path;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		from = xasprintf("%s/%s", dir, de->d_name);
		path = *prefix ? xasprintf("%s/%s", prefix, de->d_name) : xstrdup(de->d_name);
		ret = strlen(path) < CPIO_NAME_MAX ? add_one(t, from, path, e)
						   : err_set(e, -ENAMETOOLONG, "%s: too long", from);
		free(from);
		free(path);
	}
	closedir(d);
	return ret;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct cpio_entry *)a)->path, ((const struct cpio_entry *)b)->path);
}

static void pad(struct blob *out, size_t to)
{
	static const uint8_t zero[512];

	if (out->size % to)
		blob_add(out, zero, to - out->size % to);
}

static void put_entry(struct blob *out, size_t ino, const struct cpio_entry *n)
{
	const uint32_t fields[13] = {(uint32_t)ino,
				     n->mode,
				     0,
				     0,
				     S_ISDIR(n->mode) ? 2 : 1,
				     0,
				     (uint32_t)n->data.size,
				     0,
				     0,
				     0,
				     0,
				     (uint32_t)strlen(n->path) + 1,
				     0};
	char hex[9];

	blob_add(out, "070701", 6);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		snprintf(hex, sizeof(hex), "%08X", fields[i]);
		blob_add(out, hex, 8);
	}
	blob_add(out, n->path, strlen(n->path) + 1);
	pad(out, 4);
	blob_add(out, n->data.data, n->data.size);
	pad(out, 4);
}

/* Whether the folder of entry i is an entry before it. */
static bool has_folder(const struct cpio_tree *t, size_t i)
{
	const char *slash = strrchr(t->entry[i].path, '/');
	struct cpio_entry key = {0}, *hit;

	if (!slash)
		return true;
	key.path = strndup(t->entry[i].path, (size_t)(slash - t->entry[i].path));
	hit = key.path ? bsearch(&key, t->entry, t->count, sizeof(key), by_path) : NULL;
	free(key.path);
	return hit && S_ISDIR(hit->mode);
}

int cpio_write(struct cpio_tree *t, struct blob *out, struct err *e)
{
	struct cpio_entry end = {.path = (char *)trailer};

	if (t->count)
		qsort(t->entry, t->count, sizeof(*t->entry), by_path);
	for (size_t i = 0; i < t->count; i++) {
		if (i && !by_path(&t->entry[i - 1], &t->entry[i]))
			return err_set(e, -EINVAL, "%s: twice", t->entry[i].path);
		if (!has_folder(t, i))
			return err_set(e, -EINVAL, "%s: its folder is missing", t->entry[i].path);
		put_entry(out, i + 1, &t->entry[i]);
	}
	put_entry(out, 0, &end);
	pad(out, 512);
	return 0;
}

void cpio_free(struct cpio_tree *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free(t->entry[i].path);
		blob_free(&t->entry[i].data);
	}
	free(t->entry);
	*t = (struct cpio_tree){0};
}

static bool hex8(const uint8_t *p, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 8; i++) {
		uint8_t c = p[i];

		if (c >= '0' && c <= '9')
			*out = *out << 4 | (uint32_t)(c - '0');
		else if (c >= 'A' && c <= 'F')
			*out = *out << 4 | (uint32_t)(c - 'A' + 10);
		else
			return false;
	}
	return true;
}

static bool path_ok(const char *s)
{
	if (!*s || *s == '/')
		return false;
	for (;;) {
		size_t n = strcspn(s, "/");

		if (!n || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

int cpio_read(const void *data, size_t size, int (*each)(void *arg, const struct cpio_view *v), void *arg)
{
	const uint8_t *p = data;
	size_t at = 0;

	for (;;) {
		uint32_t mode, name_size;
		uint32_t data_size;
		struct cpio_view v;
		size_t start;
		int ret;

		if (size - at < HEAD || memcmp(p + at, "070701", 6) != 0 || !hex8(p + at + 14, &mode) ||
		    !hex8(p + at + 54, &data_size) || !hex8(p + at + 94, &name_size) || !name_size ||
		    name_size > CPIO_NAME_MAX)
			return -EBADMSG;
		start = (at + HEAD + name_size + 3) & ~(size_t)3;
		if (start > size || data_size > size - start || p[at + HEAD + name_size - 1] ||
		    strlen((const char *)p + at + HEAD) + 1 != name_size)
			return -EBADMSG;
		v = (struct cpio_view){(const char *)p + at + HEAD, mode, p + start, data_size};
		if (!strcmp(v.path, trailer))
			return 0;
		if (!path_ok(v.path) || (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode)))
			return -EBADMSG;
		ret = each(arg, &v);
		if (ret)
			return ret;
		at = (start + data_size + 3) & ~(size_t)3;
		if (at > size)
			return -EBADMSG;
	}
}

void image_root(const void *data, size_t size, uint8_t out[32])
{
	size_t n = (size + 4095) / 4096;
	struct merkle_hash *leaves = xcalloc(n + 1, sizeof(*leaves)), root;

	for (size_t i = 0; i < n; i++)
		merkle_leaf((const uint8_t *)data + i * 4096, MIN(size - i * 4096, (size_t)4096), &leaves[i]);
	merkle_root(leaves, n, &root);
	memcpy(out, root.b, 32);
	free(leaves);
}
