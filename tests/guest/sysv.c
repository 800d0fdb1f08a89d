/* sysv.c: System V semaphores, shared memory, messages; POSIX message queues; asynchronous I/O. */
#include "guest.h"
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static void sems(void)
{
	int id = semget(IPC_PRIVATE, 3, 0600), st;
	struct sembuf op[3] = {{0, 1, 0}, {1, 2, 0}, {2, 0, 0}};
	unsigned short all[3] = {1, 2, 3}, got[3];
	struct semid_ds ds;
	struct timespec soon = {0, 20000000};

	MUST(id >= 0);
	SHOW(semop(id, op, 3));
	SHOW(semctl(id, 0, GETVAL));
	SHOW(semctl(id, 1, GETVAL));
	SHOW(semctl(id, 3, GETVAL));
	SHOW(semctl(id, 0, GETPID) == getpid());
	op[0] = (struct sembuf){0, -5, IPC_NOWAIT};
	SHOW(semop(id, op, 1));
	op[0] = (struct sembuf){0, -1, 0};
	op[1] = (struct sembuf){1, -3, IPC_NOWAIT};
	SHOW(semop(id, op, 2));
	SHOW(semctl(id, 0, GETVAL));
	op[0] = (struct sembuf){0, -5, 0};
	SHOW(semtimedop(id, op, 1, &soon));
	op[0].sem_num = 9;
	SHOW(semop(id, op, 1));
	SHOW(semop(id, op, 0));
	SHOW(semop(id, op, 501));
	SHOW(semctl(id, 0, SETALL, (union semun){.array = all}));
	SHOW(semctl(id, 0, GETALL, (union semun){.array = got}));
	printf("%d %d %d\n", got[0], got[1], got[2]);
	SHOW(semctl(id, 0, SETVAL, (union semun){.val = 32768}));
	SHOW(semctl(id, 0, SETVAL, (union semun){.val = 32767}));
	op[0] = (struct sembuf){0, 1, 0};
	SHOW(semop(id, op, 1));
	SHOW(semctl(id, 0, SETVAL, (union semun){.val = 0}));
	SHOW(semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}));
	printf("nsems %ld mode %o\n", (long)ds.sem_nsems, ds.sem_perm.mode);
	/* undo at exit, and a waiter that it wakes */
	pid_t waiter = fork();
	if (waiter == 0) {
		op[0] = (struct sembuf){0, -1, SEM_UNDO};
		_exit(semop(id, op, 1) == 0 ? 4 : 9);
	}
	for (int i = 0; i < 200 && semctl(id, 0, GETNCNT) != 1; i++)
		usleep(5000);
	SHOW(semctl(id, 0, GETNCNT));
	op[0] = (struct sembuf){0, 1, 0};
	SHOW(semop(id, op, 1));
	waitpid(waiter, &st, 0);
	show_status("waiter", st);
	SHOW(semctl(id, 0, GETVAL)); /* undone: 1 again */
	/* removed under a waiter */
	waiter = fork();
	if (waiter == 0) {
		op[0] = (struct sembuf){0, -10, 0};
		_exit(semop(id, op, 1) < 0 && errno == EIDRM ? 5 : 9);
	}
	for (int i = 0; i < 200 && semctl(id, 0, GETNCNT) != 1; i++)
		usleep(5000);
	SHOW(semctl(id, 0, IPC_RMID));
	waitpid(waiter, &st, 0);
	show_status("removed", st);
	SHOW(semctl(id, 0, GETVAL));
	SHOW(semget(IPC_PRIVATE, 0, 0600));
	SHOW(semget(IPC_PRIVATE, 40000, 0600));
	SHOW(semget(0x5b87, 1, 0600));
	id = SHOW_OK(semget(0x5b87, 1, 0600 | IPC_CREAT));
	SHOW(semget(0x5b87, 1, 0600 | IPC_CREAT | IPC_EXCL));
	SHOW(semget(0x5b87, 2, 0600));
	SHOW(semget(0x5b87, 0, 0600) == id);
	SHOW(semctl(id, 0, IPC_RMID));
}

static void shms(void)
{
	int id = shmget(IPC_PRIVATE, 5000, 0600), st;
	struct shmid_ds ds;
	char *a = shmat(id, NULL, 0), *b;

	MUST(a != (void *)-1);
	strcpy(a, "hello");
	b = shmat(id, NULL, SHM_RDONLY);
	printf("%s\n", b);
	SHOW(shmctl(id, IPC_STAT, &ds));
	printf("size %ld attached %ld mode %o cpid %d\n", (long)ds.shm_segsz, (long)ds.shm_nattch,
	       ds.shm_perm.mode, ds.shm_cpid == getpid());
	pid_t pid = fork();
	if (pid == 0) {
		strcpy(a, "child");
		shmctl(id, IPC_STAT, &ds);
		_exit((int)ds.shm_nattch);
	}
	waitpid(pid, &st, 0);
	show_status("attached in child", st);
	printf("%s\n", b);
	pid = fork();
	if (pid == 0) {
		b[0] = 'x';
		_exit(0);
	}
	waitpid(pid, &st, 0);
	show_status("read-only", st);
	SHOW(shmdt(b));
	SHOW(shmdt(b));
	SHOW(shmdt(a + 1));
	SHOW_OK(shmat(id, a, 0));
	SHOW_OK(shmat(id, a + 1, 0));
	SHOW_OK(shmat(id, a, SHM_REMAP));
	SHOW_OK(shmat(id, NULL, SHM_REMAP));
	SHOW(shmctl(id, IPC_RMID, NULL));
	SHOW(shmctl(id, IPC_STAT, &ds));
	printf("dest %d attached %ld\n", (ds.shm_perm.mode & SHM_DEST) != 0, (long)ds.shm_nattch);
	a[4999] = 1;
	SHOW(shmdt(a));
	SHOW(shmctl(id, IPC_STAT, &ds));
	SHOW(shmget(IPC_PRIVATE, 0, 0600));
	SHOW(shmget(0x5b88, 100, 0600));
	id = SHOW_OK(shmget(0x5b88, 100, 0600 | IPC_CREAT));
	SHOW(shmget(0x5b88, 101, 0600));
	SHOW(shmget(0x5b88, 50, 0) == id);
	SHOW(shmctl(id, IPC_RMID, NULL));
	SHOW(shmctl(id, 99, NULL));
}

struct text {
	long type;
	char s[32];
};

static void msgs(void)
{
	int id = msgget(IPC_PRIVATE, 0600), st;
	struct text m = {3, "three"}, got;
	struct msqid_ds ds;

	MUST(id >= 0);
	SHOW(msgsnd(id, &m, 6, 0));
	m = (struct text){1, "one"};
	SHOW(msgsnd(id, &m, 4, 0));
	m = (struct text){2, "two"};
	SHOW(msgsnd(id, &m, 4, 0));
	m.type = 0;
	SHOW(msgsnd(id, &m, 4, 0));
	m.type = 1;
	SHOW(msgsnd(id, &m, 9000, 0));
	SHOW(msgctl(id, IPC_STAT, &ds));
	printf("count %ld bytes %ld\n", (long)ds.msg_qnum, (long)ds.__msg_cbytes);
	SHOW(msgrcv(id, &got, 32, 2, 0));
	printf("%ld %s\n", got.type, got.s);
	SHOW(msgrcv(id, &got, 32, -3, 0));
	printf("%ld %s\n", got.type, got.s);
	SHOW(msgrcv(id, &got, 2, 0, 0));
	SHOW(msgrcv(id, &got, 2, 0, MSG_NOERROR));
	SHOW(msgrcv(id, &got, 2, 0, IPC_NOWAIT));
	pid_t pid = fork();
	if (pid == 0)
		_exit(msgrcv(id, &got, 32, 7, 0) == 4 ? 6 : 9);
	usleep(30000);
	m = (struct text){7, "dig"};
	SHOW(msgsnd(id, &m, 4, 0));
	waitpid(pid, &st, 0);
	show_status("receiver", st);
	char big[8200] = {1};
	*(long *)big = 1;
	SHOW(msgsnd(id, big, 8192, IPC_NOWAIT));
	SHOW(msgsnd(id, big, 8192, IPC_NOWAIT));
	SHOW(msgsnd(id, big, 8192, IPC_NOWAIT));
	pid = fork();
	if (pid == 0)
		_exit(msgsnd(id, big, 8192, 0) < 0 && errno == EIDRM ? 5 : 9);
	usleep(30000);
	SHOW(msgctl(id, IPC_RMID, NULL));
	waitpid(pid, &st, 0);
	show_status("sender", st);
	SHOW(msgrcv(id, &got, 2, 0, IPC_NOWAIT));
}

static volatile int notified;

static void on_msg(int sig, siginfo_t *si, void *uc)
{
	(void)sig, (void)uc;
	notified = si->si_code == SI_MESGQ ? si->si_value.sival_int : -1;
}

static void queues(void)
{
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 16}, got;
	struct sigaction sa = {.sa_sigaction = on_msg, .sa_flags = SA_SIGINFO};
	struct sigevent ev = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
	char buf[16];
	unsigned prio;

	mq_unlink("/sbxq");
	SHOW(mq_open("/sbxq", O_RDWR));
	SHOW(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL));
	mqd_t q = mq_open("/sbxq", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr);
	MUST(q != -1);
	SHOW(mq_open("/sbxq", O_RDWR | O_CREAT | O_EXCL, 0600, NULL));
	sigaction(SIGUSR1, &sa, NULL);
	SHOW(mq_notify(q, &ev));
	SHOW(mq_notify(q, &ev));
	SHOW(mq_send(q, "low", 3, 1));
	printf("notified %d\n", notified);
	SHOW(mq_send(q, "high", 4, 9));
	SHOW(mq_send(q, "full", 4, 9));
	SHOW(mq_send(q, "12345678901234567", 17, 9));
	SHOW(mq_send(q, "x", 1, 40000));
	SHOW(mq_getattr(q, &got));
	printf("%ld %ld %ld %ld\n", got.mq_flags & O_NONBLOCK, got.mq_maxmsg, got.mq_msgsize, got.mq_curmsgs);
	SHOW(mq_receive(q, buf, 15, &prio));
	SHOW(mq_receive(q, buf, 16, &prio));
	printf("%.4s %u\n", buf, prio);
	SHOW(mq_receive(q, buf, 16, &prio));
	printf("%.3s %u\n", buf, prio);
	SHOW(mq_receive(q, buf, 16, &prio));
	attr.mq_flags = 0;
	SHOW(mq_setattr(q, &attr, NULL));
	struct timespec past = {1, 0}, bad = {1, -1};
	SHOW(mq_timedreceive(q, buf, 16, &prio, &past));
	SHOW(mq_timedreceive(q, buf, 16, &prio, &bad));
	SHOW(mq_unlink("/sbxq"));
	SHOW(mq_unlink("/sbxq"));
	SHOW(mq_send(q, "gone", 4, 0));
	SHOW(mq_close(q));
	SHOW(mq_close(q));
}

static void aio(void)
{
	aio_context_t ctx = 0;
	char buf[8] = {0};
	int fd = open("aio", O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct iocb w = {.aio_data = 5,
			 .aio_lio_opcode = IOCB_CMD_PWRITE,
			 .aio_fildes = (unsigned)fd,
			 .aio_buf = (uintptr_t) "hello",
			 .aio_nbytes = 5};
	struct iocb r = {.aio_data = 6,
			 .aio_lio_opcode = IOCB_CMD_PREAD,
			 .aio_fildes = (unsigned)fd,
			 .aio_buf = (uintptr_t)buf,
			 .aio_nbytes = 8,
			 .aio_offset = 1};
	struct iocb bad = {.aio_fildes = 999};
	struct iocb *list[2] = {&w, &r}, *bads[1] = {&bad};
	struct io_event ev[4];
	struct timespec zero = {0, 0};

	SHOW(syscall(SYS_io_setup, 0, &ctx));
	SHOW(syscall(SYS_io_setup, 4, &ctx));
	SHOW(syscall(SYS_io_setup, 4, &ctx));
	SHOW(syscall(SYS_io_submit, ctx, 1, list));
	SHOW(syscall(SYS_io_getevents, ctx, 1, 4, ev, NULL));
	printf("%d %d %d\n", (int)ev[0].data, (int)ev[0].res, ev[0].obj == (uintptr_t)&w);
	SHOW(syscall(SYS_io_submit, ctx, 1, list + 1));
	SHOW(syscall(SYS_io_getevents, ctx, 1, 4, ev, NULL));
	printf("%d %d %s\n", (int)ev[0].data, (int)ev[0].res, buf);
	SHOW(syscall(SYS_io_getevents, ctx, 1, 4, ev, &zero));
	SHOW(syscall(SYS_io_submit, ctx, 1, bads));
	SHOW(syscall(SYS_io_submit, ctx, 0, bads));
	SHOW(syscall(SYS_io_submit, 0x1234, 1, list));
	SHOW(syscall(SYS_io_destroy, ctx));
	SHOW(syscall(SYS_io_destroy, ctx));
}

int main(void)
{
	sems();
	shms();
	msgs();
	queues();
	aio();
	return 0;
}
