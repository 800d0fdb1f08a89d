/* core.c: core files: which signals leave one, RLIMIT_CORE, what is in it (headers, the failing thread's
 * registers, memory), what the parent hears; /proc/sysvipc. */
#include <elf.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "guest.h"

static char marker[] = "a text that must be found again";

static void die(int sig, rlim_t limit, bool dumpable)
{
	struct rlimit r = {limit, RLIM_INFINITY};
	siginfo_t si = {0};
	struct stat st;
	pid_t pid;
	int status;

	unlink("core");
	pid = fork();
	if (pid == 0) {
		marker[0] = 'A';
		r.rlim_max = limit;
		setrlimit(RLIMIT_CORE, &r);
		prctl(PR_SET_DUMPABLE, dumpable);
		raise(sig);
		_exit(1);
	}
	MUST(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) == 0);
	MUST(waitpid(pid, &status, 0) == pid);
	printf("signal %d limit %ld: sig %d core %d code %d status %d file %d\n", sig, (long)limit,
	       WTERMSIG(status), WCOREDUMP(status) != 0, si.si_code, si.si_status, stat("core", &st) == 0);
}

static bool find(const char *map, size_t size, const char *text)
{
	for (size_t i = 0; i + strlen(text) <= size; i++)
		if (map[i] == text[0] && memcmp(map + i, text, strlen(text)) == 0)
			return true;
	return false;
}

static void look_into(void)
{
	int fd = open("core", O_RDONLY);
	struct stat st;
	Elf64_Ehdr *h;
	Elf64_Phdr *ph;
	char *map, wanted[sizeof(marker)];
	int loads = 0;
	bool ok = true;

	MUST(fd >= 0 && fstat(fd, &st) == 0);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	MUST(map != MAP_FAILED);
	close(fd);
	h = (Elf64_Ehdr *)map;
	ph = (Elf64_Phdr *)(map + h->e_phoff);
	printf("mode %o type %d machine %d first %u\n", st.st_mode & 07777, h->e_type, h->e_machine,
	       ph[0].p_type);
	for (int i = 1; i < h->e_phnum; i++) {
		loads += ph[i].p_type == PT_LOAD;
		if (ph[i].p_offset + ph[i].p_filesz > (size_t)st.st_size)
			ok = false;
	}
	printf("loads %d inside %d\n", loads > 3, ok);
	for (size_t at = 0; at < ph[0].p_filesz;) {
		Elf64_Nhdr *n = (Elf64_Nhdr *)(map + ph[0].p_offset + at);
		char *name = (char *)(n + 1), *desc = name + ((n->n_namesz + 3) & ~3u);

		if (n->n_type == NT_PRSTATUS)
			printf("prstatus %s size %u signal %d\n", name, n->n_descsz,
			       ((prstatus_t *)desc)->pr_cursig);
		if (n->n_type == NT_PRPSINFO)
			printf("prpsinfo %s size %u name %s\n", name, n->n_descsz,
			       ((prpsinfo_t *)desc)->pr_fname);
		if (n->n_type == NT_SIGINFO)
			printf("siginfo %d\n", ((siginfo_t *)desc)->si_signo);
		if (n->n_type == NT_FPREGSET)
			printf("fpregs %u\n", n->n_descsz);
		at = (size_t)(desc + ((n->n_descsz + 3) & ~3u) - (map + ph[0].p_offset));
	}
	memcpy(wanted, marker, sizeof(marker));
	wanted[0] = 'A';
	printf("memory %d\n", find(map, (size_t)st.st_size, wanted));
	munmap(map, (size_t)st.st_size);
}

/* Is there a line with that number in second place? */
static bool listed(const char *file, int id, size_t columns)
{
	FILE *f = fopen(file, "r");
	char line[512];
	bool found = false;

	MUST(f != NULL && fgets(line, sizeof(line), f));
	while (fgets(line, sizeof(line), f)) {
		size_t words = 0;
		int key, n;

		for (char *w = strtok(strdup(line), " \n"); w; w = strtok(NULL, " \n"))
			words++;
		if (sscanf(line, "%d %d", &key, &n) == 2 && n == id)
			found = words == columns;
	}
	fclose(f);
	return found;
}

static void sysvipc(void)
{
	int shm = shmget(IPC_PRIVATE, 5000, 0600 | IPC_CREAT), sem = semget(IPC_PRIVATE, 3, 0600 | IPC_CREAT);

	MUST(shm >= 0 && sem >= 0);
	printf("listed %d %d\n", listed("/proc/sysvipc/shm", shm, 16), listed("/proc/sysvipc/sem", sem, 10));
	shmctl(shm, IPC_RMID, NULL);
	semctl(sem, 0, IPC_RMID);
	printf("listed %d %d\n", listed("/proc/sysvipc/shm", shm, 16), listed("/proc/sysvipc/sem", sem, 10));
}

int main(void)
{
	char pattern[64] = "";
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY),
	    pid_fd = open("/proc/sys/kernel/core_uses_pid", O_RDONLY);

	setvbuf(stdout, NULL, _IONBF, 0);
	if (read(fd, pattern, sizeof(pattern) - 1) < 0 || strcmp(pattern, "core\n") != 0 ||
	    read(pid_fd, pattern, sizeof(pattern) - 1) < 1 || pattern[0] != '0') {
		printf("core files go elsewhere here\n");
		return 77;
	}
	die(SIGSEGV, RLIM_INFINITY, true);
	look_into();
	die(SIGABRT, 16 << 20, true);
	die(SIGQUIT, 0, true);
	die(SIGABRT, 4095, true);
	die(SIGBUS, RLIM_INFINITY, false);
	die(SIGTERM, RLIM_INFINITY, true);
	die(SIGXCPU, RLIM_INFINITY, true);
	unlink("core");
	sysvipc();
	return 0;
}
