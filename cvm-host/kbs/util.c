/* util.c: errors, bytes, encodings, files. */
#include "cvm-host/kbs/util.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int err_set(struct err *e, int ret, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return ret;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return ret;
}

int err_in(struct err *e, int ret, const char *what)
{
	struct err old;

	if (!e)
		return ret;
	old = *e;
	snprintf(e->text, sizeof(e->text), "%s: %.180s", what, old.text);
	return ret;
}

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	return must(calloc(count ? count : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return must(strdup(s));
}

char *xasprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return must(n < 0 ? NULL : s);
}

void blob_free(struct blob *b)
{
	if (b->data) {
		OPENSSL_cleanse(b->data, b->room);
		free(b->data);
	}
	*b = (struct blob){0};
}

uint8_t *blob_room(struct blob *b, size_t size)
{
	if (size > (size_t)1 << 40)
		abort();
	blob_free(b);
	b->data = xcalloc(1, size + 1);
	b->size = b->room = size;
	return b->data;
}

void blob_set(struct blob *b, const void *p, size_t size)
{
	struct blob n = {0};

	blob_room(&n, size);
	if (size)
		memcpy(n.data, p, size);
	blob_free(b);
	*b = n;
}

void blob_add(struct blob *b, const void *p, size_t size)
{
	if (b->size + size >= b->room) {
		struct blob n = {0};

		blob_room(&n, (b->size + size) * 2 + 64);
		n.size = b->size;
		if (b->size)
			memcpy(n.data, b->data, b->size);
		blob_free(b);
		*b = n;
	}
	if (size)
		memcpy(b->data + b->size, p, size);
	b->size += size;
	b->data[b->size] = 0;
}

static const char b64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char b64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(const char *alphabet, bool pad, const uint8_t *p, size_t size)
{
	char *s = xcalloc(1, (size + 2) / 3 * 4 + 1), *q = s;

	for (size_t i = 0; i < size; i += 3) {
		size_t n = MIN(size - i, (size_t)3);
		uint32_t v =
			(uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);

		for (size_t j = 0; j < n + 1; j++)
			*q++ = alphabet[v >> (18 - 6 * j) & 63];
		for (size_t j = n + 1; pad && j < 4; j++)
			*q++ = '=';
	}
	return s;
}

char *b64_encode(const void *p, size_t size)
{
	return encode(b64_std, true, p, size);
}

char *b64url_encode(const void *p, size_t size)
{
	return encode(b64_url, false, p, size);
}

static int digit(bool url, char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	return c == (url ? '_' : '/') ? 63 : -1;
}

static int decode(bool url, const char *s, size_t len, struct blob *out)
{
	struct blob b = {0};
	uint32_t v = 0, bits = 0;
	size_t n = 0;

	if (!url) {
		if (len % 4)
			return -EINVAL;
		for (int i = 0; i < 2 && len && s[len - 1] == '='; i++)
			len--;
	}
	if (len % 4 == 1)
		return -EINVAL;
	blob_room(&b, len / 4 * 3 + (len % 4 ? len % 4 - 1 : 0));
	for (size_t i = 0; i < len; i++) {
		int d = digit(url, s[i]);

		if (d < 0)
			goto bad;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			b.data[n++] = (uint8_t)(v >> bits);
			v &= (1U << bits) - 1;
		}
	}
	if (v)
		goto bad;
	blob_free(out);
	*out = b;
	return 0;
bad:
	blob_free(&b);
	return -EINVAL;
}

int b64_decode(const char *s, size_t len, struct blob *out)
{
	return decode(false, s, len, out);
}

int b64url_decode(const char *s, size_t len, struct blob *out)
{
	return decode(true, s, len, out);
}

void bytes_to_hex(char *out, const void *p, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = p;

	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	out[2 * size] = 0;
}

char *bytes_hex_string(const void *p, size_t size)
{
	char *s = xcalloc(2, size + 1);

	bytes_to_hex(s, p, size);
	return s;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int bytes_from_hex(const char *s, void *out, size_t size)
{
	uint8_t *b = out;

	if (strlen(s) != 2 * size)
		return -EINVAL;
	for (size_t i = 0; i < size; i++) {
		int hi = hex_digit(s[2 * i]), lo = hex_digit(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		b[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

int load_file(const char *path, size_t max, struct blob *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), ret;
	struct blob b = {0};
	struct stat st;
	size_t n = 0;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		ret = err_set(e, -EINVAL, "%s: not a regular file", path);
		goto out;
	}
	if ((uint64_t)st.st_size > max) {
		ret = err_set(e, -EFBIG, "%s: larger than %zu bytes", path, max);
		goto out;
	}
	blob_room(&b, (size_t)st.st_size);
	while (n < b.size) {
		ssize_t r = read(fd, b.data + n, b.size - n);

		if (r <= 0) {
			ret = err_set(e, -EIO, "%s: %s", path, r ? strerror(errno) : "became shorter");
			goto out;
		}
		n += (size_t)r;
	}
	blob_free(out);
	*out = b;
	b = (struct blob){0};
	ret = 0;
out:
	blob_free(&b);
	close(fd);
	return ret;
}

static int write_all(int fd, const uint8_t *p, size_t size)
{
	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int sync_parent(const char *path)
{
	char *dir = xstrdup(path), *slash = strrchr(dir, '/');
	int fd, ret = 0;

	if (slash)
		slash[slash == dir] = 0;
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	free(dir);
	return ret;
}

int save_file(const char *path, const void *p, size_t size, mode_t mode, struct err *e)
{
	char *tmp = xasprintf("%s.new.%d", path, (int)getpid());
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode), ret;

	if (fd < 0) {
		ret = -errno;
		goto out;
	}
	ret = write_all(fd, p, size);
	close(fd);
	if (!ret && rename(tmp, path) < 0)
		ret = -errno;
	if (ret)
		unlink(tmp);
	else
		ret = sync_parent(path);
out:
	free(tmp);
	return ret ? err_set(e, ret, "%s: %s", path, strerror(-ret)) : 0;
}

int random_fill(void *p, size_t size)
{
	return RAND_bytes(p, (int)size) == 1 ? 0 : -EIO;
}

static void digest(const EVP_MD *md, const void *p, size_t size, uint8_t *out)
{
	if (EVP_Digest(p, size, out, NULL, md, NULL) != 1)
		abort();
}

void sha256_of(const void *p, size_t size, uint8_t out[32])
{
	digest(EVP_sha256(), p, size, out);
}

void sha384_of(const void *p, size_t size, uint8_t out[48])
{
	digest(EVP_sha384(), p, size, out);
}

static int64_t wall_offset;

void wall_set_offset(int64_t seconds)
{
	__atomic_store_n(&wall_offset, seconds, __ATOMIC_RELAXED);
}

int64_t wall_now(void)
{
	return (int64_t)time(NULL) + __atomic_load_n(&wall_offset, __ATOMIC_RELAXED);
}

int64_t mono_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
