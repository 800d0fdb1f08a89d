/* elf.c: execve of files that aren't what they seem, and what a program finds on its stack. */
#include "guest.h"

#include <elf.h>
#include <sys/auxv.h>
#include <sys/resource.h>

static Elf64_Ehdr eh;
static Elf64_Phdr ph[4];

/* A tiny program: exit(42). */
static const unsigned char code[] = {0xb8, 60, 0, 0, 0, 0xbf, 42, 0, 0, 0, 0x0f, 0x05};

static void fresh(void)
{
	memset(&eh, 0, sizeof(eh));
	memset(ph, 0, sizeof(ph));
	memcpy(eh.e_ident, ELFMAG, 4);
	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	eh.e_ident[EI_VERSION] = eh.e_version = 1;
	eh.e_type = ET_EXEC;
	eh.e_machine = EM_X86_64;
	eh.e_phoff = sizeof(eh);
	eh.e_ehsize = sizeof(eh);
	eh.e_phentsize = sizeof(ph[0]);
	eh.e_phnum = 1;
	eh.e_entry = 0x400000 + sizeof(eh) + sizeof(ph);
	ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
			     .p_flags = PF_R | PF_X,
			     .p_vaddr = 0x400000,
			     .p_filesz = sizeof(eh) + sizeof(ph) + sizeof(code),
			     .p_memsz = sizeof(eh) + sizeof(ph) + sizeof(code),
			     .p_align = 4096};
}

static void put(const char *name, const char *tail)
{
	int fd;

	unlink(name);
	fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0755);
	MUST(fd >= 0);
	write(fd, &eh, sizeof(eh));
	write(fd, ph, sizeof(ph));
	write(fd, code, sizeof(code));
	if (tail)
		write(fd, tail, strlen(tail) + 1);
	close(fd);
}

static void try_file(const char *what, const char *name)
{
	int st;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execve(name, (char *[]){(char *)name, NULL}, (char *[]){NULL});
		printf("%s: %s\n", what, strerrorname_np(errno));
		fflush(stdout);
		_exit(1);
	}
	waitpid(pid, &st, 0);
	if (!WIFEXITED(st) || WEXITSTATUS(st) != 1)
		show_status(what, st);
}

static void headers(void)
{
	fresh();
	put("x", NULL);
	try_file("good", "./x");
#define BAD(change)                                                                                            \
	do {                                                                                                   \
		fresh();                                                                                       \
		change;                                                                                        \
		put("x", NULL);                                                                                \
		try_file(#change, "./x");                                                                      \
	} while (0)
	BAD(eh.e_type = ET_REL);
	BAD(eh.e_type = ET_CORE);
	BAD(eh.e_machine = EM_AARCH64);
	BAD(eh.e_machine = EM_386);
	BAD(eh.e_phentsize = 32);
	BAD(eh.e_phnum = 0);
	BAD(eh.e_phnum = 2000);
	BAD(eh.e_phoff = 1 << 20);
	BAD(eh.e_phoff = -8);
	BAD(eh.e_ident[0] = 0);
	BAD(eh.e_ident[EI_OSABI] = 99);
	BAD(eh.e_version = 7);
	BAD(eh.e_shnum = 60000);
}

static void interpreters(void)
{
	const uint64_t at = sizeof(eh) + sizeof(ph) + sizeof(code);
#define INTERP(name, text, size)                                                                               \
	do {                                                                                                   \
		fresh();                                                                                       \
		eh.e_phnum = 2;                                                                                \
		ph[1] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = at, .p_filesz = (size)};                 \
		put("x", text);                                                                                \
		try_file(name, "./x");                                                                         \
	} while (0)
	INTERP("interp missing", "/no/such/file", 14);
	INTERP("interp is a folder", "/", 2);
	INTERP("interp isn't terminated", "/bin/sh", 7);
	INTERP("interp is empty", "", 1);
	INTERP("interp too long", "/bin/sh", 5000);
	INTERP("interp beyond the file", "/bin/sh", 100);
	int fd = open("text", O_CREAT | O_WRONLY | O_TRUNC, 0755);
	for (int i = 0; i < 30; i++)
		write(fd, "not a program, only text\n", 25);
	close(fd);
	INTERP("interp is text", "./text", 7);
	chmod("text", 0644);
	INTERP("interp can't be executed", "./text", 7);
}

static void scripts(void)
{
	char name[16], line[400];
	int fd;

	for (int i = 1; i <= 7; i++) {
		snprintf(name, sizeof(name), "./s%d", i);
		fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0755);
		dprintf(fd, "#!./s%d\n", i - 1);
		close(fd);
	}
	fresh();
	put("s0", NULL);
	for (int i = 1; i <= 7; i++) {
		snprintf(name, sizeof(name), "./s%d", i);
		try_file(name, name);
	}
#define SCRIPT(what, ...)                                                                                      \
	do {                                                                                                   \
		fd = open("sc", O_CREAT | O_WRONLY | O_TRUNC, 0755);                                           \
		dprintf(fd, __VA_ARGS__);                                                                      \
		close(fd);                                                                                     \
		try_file(what, "./sc");                                                                        \
	} while (0)
	SCRIPT("nothing behind #!", "#!\n");
	SCRIPT("blanks behind #!", "#!   \n");
	SCRIPT("blanks before the name", "#!  \t./s0  \n");
	SCRIPT("no newline", "#!./s0");
	SCRIPT("a folder", "#!/\n");
	memset(line, 'a', sizeof(line));
	line[399] = 0;
	SCRIPT("name cut", "#!/%s\n", line);
	SCRIPT("argument cut", "#!./s0 %s\n", line);
}

static void files(void)
{
	int fd;

	fresh();
	put("x", NULL);
	chmod("x", 0644);
	try_file("not executable", "./x");
	chmod("x", 0755);
	fd = open("x", O_WRONLY);
	try_file("open for writing", "./x");
	close(fd);
	try_file("closed", "./x");
	try_file("a name too long",
		 "./xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	try_file("below a file", "./x/y");
	try_file("empty name", "");
}

static void big_args(void)
{
	char *arg = malloc(200 << 10), **argv = malloc(70 * sizeof(*argv));

	memset(arg, 'a', 200 << 10);
	arg[(200 << 10) - 1] = 0;
	SHOW(execve("./x", (char *[]){"x", arg, NULL}, (char *[]){NULL})); /* one string of more than 128 KiB */
	arg[(128 << 10) - 1] = 0;
	for (int i = 0; i < 69; i++)
		argv[i] = arg;
	argv[69] = NULL;
	SHOW(execve("./x", argv, (char *[]){NULL}));
	argv[10] = NULL;
	fflush(stdout);
	int st;
	if (fork() == 0) {
		execve("./x", argv, (char *[]){NULL});
		_exit(1);
	}
	wait(&st);
	show_status("1.3 MB of arguments", st);
}

/* What getauxval finds is right as far as one can tell. */
static void stack(int argc, char **argv, char **envp)
{
	Elf64_Phdr *p = (void *)getauxval(AT_PHDR);
	uint64_t load = 0;

	SHOW(argc);
	SHOW((uintptr_t)argv % 8);
	SHOW((void *)envp == argv + argc + 1);
	SHOW(getauxval(AT_PAGESZ));
	SHOW(getauxval(AT_CLKTCK));
	SHOW(getauxval(AT_PHENT));
	SHOW(getauxval(AT_FLAGS));
	SHOW(getauxval(AT_UID) == getuid());
	SHOW(getauxval(AT_EGID) == getegid());
	SHOW(getauxval(AT_SECURE));
	SHOW(getauxval(AT_ENTRY) != 0);
	SHOW(getauxval(AT_BASE) == 0);
	SHOW(getauxval(AT_SYSINFO_EHDR) % 4096);
	SHOW(memcmp((void *)getauxval(AT_SYSINFO_EHDR), ELFMAG, 4));
	SHOW(getauxval(AT_MINSIGSTKSZ) >= 1024);
	SHOW(strcmp((char *)getauxval(AT_PLATFORM), "x86_64"));
	SHOW(strcmp((char *)getauxval(AT_EXECFN), argv[0]) == 0);
	SHOW(getauxval(AT_RANDOM) != 0);
	SHOW((uintptr_t)argv > getauxval(AT_RANDOM));
	SHOW((uintptr_t)argv[0] > getauxval(AT_RANDOM));
	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
		load += p[i].p_type == PT_LOAD;
	SHOW(load > 0);
	SHOW((char *)sbrk(0) > (char *)0x10000);
}

int main(int argc, char **argv, char **envp)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	stack(argc, argv, envp);
	headers();
	interpreters();
	scripts();
	files();
	big_args();
	return 0;
}
