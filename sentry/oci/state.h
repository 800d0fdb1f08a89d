/* state.h: what is remembered of a container between two commands: ROOT/ID/state.json (written as a whole and
 * renamed into place), a copy of its config.json, and a lock. Commands that change a container hold the lock.
 */
#pragma once

#include <sys/types.h>

#include "platform/base/attr.h"
#include "sentry/oci/cgroup.h"

enum oci_status { OCI_CREATING, OCI_CREATED, OCI_RUNNING, OCI_PAUSED, OCI_STOPPED };
const char *oci_status_name(enum oci_status s);

struct oci_state {
	char *id, *bundle, *rootfs, *version, *created; /* malloc; created: RFC 3339 */
	uint32_t owner;					/* user id of who made it */
	int pid;					/* the container's monitor; 0: none yet */
	uint64_t start_time;				/* of pid, as /proc/pid/stat tells: pids are reused */
	bool started;					/* `start` was called */
	struct json_object *annotations;		/* NULL: none */
	struct cgroup_set cgroup;
	/* not stored */
	char *dir;   /* ROOT/ID */
	int lock;    /* -1: not held */
	int creator; /* the creating command's end of its talk with the monitor; 0: none */
};

/* The default of --root: /run/sbx for root, else $XDG_RUNTIME_DIR/sbx. */
const char *state_default_root(void);
/* An id as runc takes them: letters, digits and + - . _; not "." or "..". */
bool state_valid_id(const char *id);
/* Makes ROOT/ID and takes its lock, waiting a moment for one that is being removed. Fails when the container
 * exists; what is left of a create that died is removed first, its control groups too. */
MUST_CHECK int state_create(struct oci_state *s, const char *root, const char *id, char *err, size_t err_size);
/* Writes down which control groups are going to be made (s->cgroup), for a state_create after our death. */
MUST_CHECK int state_note(struct oci_state *s, char *err, size_t err_size);
/* Removes what a create that died has left of ROOT/ID. 0 as well when there is nothing; -1: the container
 * exists (err is left as it was), or its create is under way. */
MUST_CHECK int state_clear(const char *root, const char *id, char *err, size_t err_size);
/* Reads ROOT/ID; takes the lock when lock is set. */
MUST_CHECK int state_load(struct oci_state *s, const char *root, const char *id, bool lock, char *err,
			  size_t err_size);
MUST_CHECK int state_save(struct oci_state *s, char *err, size_t err_size);
/* What the container is doing now. */
enum oci_status state_status(const struct oci_state *s);
/* Removes the folder. */
void state_remove(struct oci_state *s);
/* Frees, and drops the lock. */
void state_free(struct oci_state *s);
/* The state as hooks and `state` see it (json_object_put). extra: with runc's additional fields. */
struct json_object *state_json(const struct oci_state *s, enum oci_status status, bool extra);

/* Start time of a process, 0 when there is none or it is a zombie. */
uint64_t process_start_time(int pid);
