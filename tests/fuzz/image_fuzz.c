/* image_fuzz.c: what a hostile host writes into the channel and onto a disk, and a hostile guest into the
 * channel: frames, archives. First byte: which. */
#include <stdlib.h>
#include <string.h>

#include "cvm-host/image/cpio.h"
#include "cvm-host/launch/verbs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int each(void *arg, const struct cpio_view *v)
{
	size_t *sum = arg;

	/* what it hands out lies within the input, and no path leaves the folder */
	if (v->path[0] == '/' || !strncmp(v->path, "../", 3) || strstr(v->path, "/../"))
		abort();
	for (size_t i = 0; i < v->size; i++)
		*sum += v->data[i];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct verb_reader r;
	struct verb_frame f;
	size_t sum = 0, step;
	int ret = 0;

	if (!size)
		return 0;
	if (data[0] & 1)
		return cpio_read(data + 1, size - 1, each, &sum) * 0;
	memset(&r, 0, sizeof(r));
	r.from = data[0] & 2 ? FROM_HOST : FROM_GUEST;
	step = (data[0] >> 2) + 1u;
	for (size_t at = 1; at < size && ret >= 0; at += step) {
		const uint8_t *p = data + at;
		size_t n = MIN(step, size - at);

		while ((ret = verb_take(&r, &p, &n, &f)) == 1) {
			if (f.size > VERB_PAYLOAD_MAX || !strcmp(verb_name(f.verb), "unknown"))
				abort();
			for (size_t i = 0; i < f.size; i++)
				sum += f.data[i];
		}
	}
	return 0;
}
