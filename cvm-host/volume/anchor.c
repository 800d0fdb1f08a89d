/* anchor.c: where volumes keep epoch and root. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cvm-host/kbs/client.h"
#include "cvm-host/kbs/json.h"
#include "cvm-host/volume/volume.h"

static int file_get(void *arg, uint64_t *epoch, char root[65], struct err *e)
{
	struct volume_file_anchor *f = arg;
	json_t *v = NULL;
	const char *s;
	int64_t n = 0;
	int ret;

	*epoch = 0;
	*root = 0;
	if (access(f->path, F_OK) < 0 && errno == ENOENT)
		return 0;
	ret = json_read_file(f->path, 4096, &v, e);
	s = ret ? NULL : json_need_string(v, "root", e);
	if (!ret)
		ret = s ? json_opt_int(v, "epoch", 1, INT64_MAX, 0, &n, e) : -EINVAL;
	if (!ret && strlen(s) != 64)
		ret = err_set(e, -EINVAL, "%s: the root is malformed", f->path);
	if (!ret) {
		*epoch = (uint64_t)n;
		memcpy(root, s, 65);
	}
	json_decref(v);
	return ret;
}

static int file_advance(void *arg, uint64_t epoch, const char *root, const char *previous, struct err *e)
{
	struct volume_file_anchor *f = arg;
	uint64_t now;
	char have[65], *text;
	int ret = file_get(arg, &now, have, e);

	if (ret)
		return ret;
	if (epoch != now + 1 || strcmp(have, previous) != 0)
		return err_set(e, -ESTALE, "%s is at epoch %llu", f->path, (unsigned long long)now);
	text = xasprintf("{\"epoch\":%llu,\"root\":\"%s\"}\n", (unsigned long long)epoch, root);
	ret = save_file(f->path, text, strlen(text), 0600, e);
	free(text);
	return ret;
}

struct volume_anchor volume_anchor_file(struct volume_file_anchor *f)
{
	return (struct volume_anchor){file_get, file_advance, f};
}

static int broker_get(void *arg, uint64_t *epoch, char root[65], struct err *e)
{
	struct volume_broker_anchor *b = arg;

	return kbs_client_volume(b->client, b->name, epoch, root, e);
}

static int broker_advance(void *arg, uint64_t epoch, const char *root, const char *previous, struct err *e)
{
	struct volume_broker_anchor *b = arg;

	return kbs_client_volume_advance(b->client, b->name, epoch, root, previous, e);
}

struct volume_anchor volume_anchor_broker(struct volume_broker_anchor *b)
{
	return (struct volume_anchor){broker_get, broker_advance, b};
}
