/* tree.c: the hash tree over the blocks' entries, and the places that blocks and nodes take on disk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cvm-host/volume/internal.h"
#include "platform/base/bytes.h"

/* ---- places
 * -------------------------------------------------------------------------------------------------- */

static bool bit(const uint8_t *map, uint32_t n)
{
	return map[n / 8] >> n % 8 & 1;
}

static void set_bit(uint8_t *map, uint32_t n)
{
	map[n / 8] |= (uint8_t)(1 << n % 8);
}

static void clear_bit(uint8_t *map, uint32_t n)
{
	map[n / 8] &= (uint8_t) ~(1 << n % 8);
}

int place_take(struct volume *v, uint32_t *out)
{
	uint32_t n = v->next;

	if (!v->free_count)
		return -ENOSPC;
	for (;; n++) {
		if (n >= v->s.places)
			n = FIRST_PLACE;
		if (n % 8 == 0 && v->used[n / 8] == 0xff) {
			n += 7;
			continue;
		}
		if (!bit(v->used, n))
			break;
	}
	set_bit(v->used, n);
	set_bit(v->fresh, n);
	v->free_count--;
	v->next = n + 1;
	*out = n;
	return 0;
}

/* A place that the last commit refers to stays taken until the next is at the anchor. */
void place_drop(struct volume *v, uint32_t place)
{
	if (!place)
		return;
	if (bit(v->fresh, place)) {
		clear_bit(v->fresh, place);
		clear_bit(v->used, place);
		v->free_count++;
	} else if (!bit(v->old, place)) {
		set_bit(v->old, place);
		v->old_count++;
	}
}

void places_committed(struct volume *v)
{
	size_t size = v->s.places / 8 + 1;

	for (size_t i = 0; v->old_count && i < size; i++)
		v->used[i] &= (uint8_t)~v->old[i];
	v->free_count += v->old_count;
	v->old_count = 0;
	memset(v->old, 0, size);
	memset(v->fresh, 0, size);
}

/* ---- nodes
 * --------------------------------------------------------------------------------------------------- */

int tree_init(struct volume *v, struct err *e)
{
	uint64_t n = v->s.blocks;
	size_t size = v->s.places / 8 + 1;

	do {
		if (v->levels == LEVELS_MAX)
			return err_set(e, -EFBIG, "the volume is too large");
		n = (n + FAN - 1) / FAN;
		v->count[v->levels] = n;
		v->nodes[v->levels++] = xcalloc(n, sizeof(struct node *));
	} while (n > 1);
	v->used = xcalloc(1, size);
	v->fresh = xcalloc(1, size);
	v->old = xcalloc(1, size);
	v->run = xcalloc(RUN_MAX, VOLUME_BLOCK);
	v->used[0] = (1 << FIRST_PLACE) - 1;
	v->free_count = v->s.places - FIRST_PLACE;
	v->next = FIRST_PLACE;
	return 0;
}

void tree_fini(struct volume *v)
{
	for (unsigned l = 0; l < v->levels; l++) {
		for (uint64_t i = 0; i < v->count[l]; i++)
			free(v->nodes[l][i]);
		free(v->nodes[l]);
	}
	free(v->used);
	free(v->fresh);
	free(v->old);
	free(v->run);
}

static void hash_node(const uint8_t *data, uint8_t out[28])
{
	uint8_t h[32];

	sha256_of(data, VOLUME_BLOCK, h);
	memcpy(out, h, 28);
}

/* Place and hash that the parent has for a node. */
static int parent_entry(struct volume *v, unsigned level, uint64_t index, uint32_t *place, uint8_t hash[28],
			struct err *e)
{
	struct node *up;
	uint8_t *entry;
	int ret;

	if (level + 1 == v->levels) {
		*place = v->s.top;
		memcpy(hash, v->s.top_hash, 28);
		return 0;
	}
	ret = tree_node(v, level + 1, index / FAN, &up, e);
	if (ret)
		return ret;
	entry = up->data + index % FAN * ENTRY_SIZE;
	*place = get_le32(entry);
	memcpy(hash, entry + 4, 28);
	return 0;
}

int tree_node(struct volume *v, unsigned level, uint64_t index, struct node **out, struct err *e)
{
	struct node **slot = &v->nodes[level][index], *n;
	uint8_t want[28], have[28];
	uint32_t place;
	int ret;

	if (*slot) {
		*out = *slot;
		return 0;
	}
	ret = parent_entry(v, level, index, &place, want, e);
	if (ret)
		return ret;
	n = xcalloc(1, sizeof(*n));
	if (place) {
		ret = place < v->s.places ? volume_file_read(v->fd, n->data, VOLUME_BLOCK, place, e) : -EBADMSG;
		hash_node(n->data, have);
		if (!ret && memcmp(have, want, sizeof(have)) != 0)
			ret = err_set(e, -EBADMSG,
				      "the volume's tree does not authenticate (level %u, node %llu)", level,
				      (unsigned long long)index);
		if (ret) {
			free(n);
			return ret;
		}
	}
	v->loaded += level == 0;
	*slot = n;
	*out = n;
	return 0;
}

void tree_trim(struct volume *v)
{
	for (uint64_t looked = 0; v->loaded > CACHE_NODES && looked < v->count[0]; looked++) {
		struct node **slot = &v->nodes[0][v->hand];

		v->hand = v->hand + 1 < v->count[0] ? v->hand + 1 : 0;
		if (*slot && !(*slot)->dirty) {
			free(*slot);
			*slot = NULL;
			v->loaded--;
		}
	}
}

static int take_scanned(struct volume *v, uint32_t place, struct err *e)
{
	if (!place)
		return 0;
	if (place < FIRST_PLACE || place >= v->s.places || bit(v->used, place))
		return err_set(e, -EBADMSG, "the volume's tree names a place twice or outside");
	set_bit(v->used, place);
	v->free_count--;
	return 0;
}

int tree_scan(struct volume *v, struct err *e)
{
	int ret = take_scanned(v, v->s.top, e);

	for (unsigned l = v->levels; l-- > 0 && !ret;) {
		for (uint64_t i = 0; i < v->count[l] && !ret; i++) {
			struct node *n;

			ret = tree_node(v, l, i, &n, e);
			for (unsigned k = 0; k < FAN && !ret; k++)
				ret = take_scanned(v, get_le32(n->data + k * ENTRY_SIZE), e);
			tree_trim(v);
		}
	}
	return ret;
}

static int flush_node(struct volume *v, unsigned level, uint64_t index, struct node *n, struct err *e)
{
	uint8_t old_hash[28];
	struct node *up;
	uint32_t old, place;
	int ret = parent_entry(v, level, index, &old, old_hash, e);

	if (!ret && place_take(v, &place) < 0)
		ret = err_set(e, -ENOSPC, "no place for the volume's tree");
	if (!ret)
		ret = volume_file_write(v->fd, n->data, VOLUME_BLOCK, place, e);
	if (ret)
		return ret;
	place_drop(v, old);
	if (level + 1 == v->levels) {
		v->s.top = place;
		hash_node(n->data, v->s.top_hash);
	} else {
		ret = tree_node(v, level + 1, index / FAN, &up, e);
		if (ret)
			return ret;
		put_le32(up->data + index % FAN * ENTRY_SIZE, place);
		hash_node(n->data, up->data + index % FAN * ENTRY_SIZE + 4);
		up->dirty = true;
	}
	n->dirty = false;
	return 0;
}

int tree_flush(struct volume *v, struct err *e)
{
	int ret = 0;

	for (unsigned l = 0; l < v->levels; l++)
		for (uint64_t i = 0; i < v->count[l] && !ret; i++)
			if (v->nodes[l][i] && v->nodes[l][i]->dirty)
				ret = flush_node(v, l, i, v->nodes[l][i], e);
	return ret;
}
