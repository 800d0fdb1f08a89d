/* internal.h: the volume's format on disk and in memory.
 *
 * Block 0 and 1: superblocks, that of epoch n in block n % 2. From block 2 on: data blocks and nodes, anywhere.
 * A node has 128 entries of 32 bytes. At level 0 an entry is a data block: le32 place, IV, tag; above, a node:
 * le32 place, the first 28 bytes of its SHA-256. Place 0: never written (data: zeros; node: all such entries).
 */
#pragma once

#include <openssl/evp.h>

#include "cvm-host/volume/volume.h"

#define FAN	    128u
#define ENTRY_SIZE  32u
#define LEVELS_MAX  5
#define FIRST_PLACE 2u
#define RUN_MAX	    64u /* blocks in one read or write of the file */
#define CACHE_NODES 16384u

#define SUPER_MAGIC "SBXVOL1\n"
#define SUPER_USED  160 /* bytes that mean something */

struct node {
	bool dirty;
	uint8_t data[VOLUME_BLOCK];
};

struct super {
	uint8_t id[16];
	uint64_t blocks; /* logical */
	uint32_t places; /* of the file */
	uint64_t epoch;
	uint32_t mount; /* number of the mount that wrote it: the IVs' beginning */
	uint32_t top;	/* place of the top node */
	uint8_t top_hash[28];
};

struct volume {
	int fd;
	struct volume_anchor anchor;
	struct super s;
	char root[65]; /* of the last commit */
	uint8_t mac_key[32];
	EVP_CIPHER_CTX *seal, *open;
	uint64_t writes; /* counter part of the next IV */
	bool failed;
	unsigned levels;
	uint64_t count[LEVELS_MAX]; /* nodes of each level */
	struct node **nodes[LEVELS_MAX];
	uint64_t loaded, hand;	     /* level 0 nodes in memory; where eviction looks next */
	uint8_t *used, *fresh, *old; /* bitmaps of places: taken; since the last commit; free after the next */
	uint64_t free_count, old_count;
	uint32_t next; /* where allocation looks next */
	bool changed;
	uint8_t *run; /* RUN_MAX blocks */
};

/* super.c */
void volume_super_write(const struct volume *v, uint8_t block[VOLUME_BLOCK]);
MUST_CHECK int volume_super_parse(const struct volume *v, const uint8_t block[VOLUME_BLOCK], struct super *out);
MUST_CHECK int volume_keys(struct volume *v, const uint8_t key[32]);
void volume_root_of(const uint8_t block[VOLUME_BLOCK], char root[65]);
int volume_file_read(int fd, void *buf, size_t size, uint64_t place, struct err *e);
int volume_file_write(int fd, const void *buf, size_t size, uint64_t place, struct err *e);

/* tree.c */
MUST_CHECK int tree_init(struct volume *v, struct err *e); /* tables and bitmaps, from v->s */
void tree_fini(struct volume *v);
MUST_CHECK int tree_scan(struct volume *v, struct err *e); /* which places are taken */
MUST_CHECK int tree_node(struct volume *v, unsigned level, uint64_t index, struct node **out, struct err *e);
void tree_trim(struct volume *v);			    /* lets go of nodes above the cache's size */
MUST_CHECK int tree_flush(struct volume *v, struct err *e); /* dirty nodes to new places, up to the top */
MUST_CHECK int place_take(struct volume *v, uint32_t *out);
void place_drop(struct volume *v, uint32_t place);
void places_committed(struct volume *v);
