/*
 * io.c - what `make bench` runs inside a Debian guest: how many instructions a disk read or a datagram takes.
 *
 *	io disk DEVICE		4 KiB reads past the page cache, one at a time and 32 deep
 *	io pong			answers the two below, one after the other, and ends with them
 *	io ping ADDRESS		round trips of a 64-byte datagram
 *	io bulk ADDRESS		1400-byte datagrams, at most 64 without an acknowledgement of 8 bytes for each 32
 *
 * The TSC counts instructions there (tests/bench/guests.py). Each operation's line is
 * `JANUS: bench=NAME median=N min=N mean=N ops=N`. A mark is a long NOP that tests/bench/count.c knows.
 */
#define _GNU_SOURCE /* O_DIRECT */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK_BYTES 4096
#define SPAN_BYTES (16u << 20) /* of the disk, if it has as many */
#define WARM_UPS 64
#define SAMPLES 512
#define DEPTH 32
#define DEEP_WARM_UPS 512
#define DEEP_READS 4096

#define PING_PORT 7000
#define BULK_PORT 7001
#define PING_BYTES 64
#define BULK_BYTES 1400
#define ACK_BYTES 8
#define ACK_EACH 32
#define WINDOW 64
#define BULK_WARM_UPS 512
#define BULK_PACKETS 8192
#define RECEIVE_BUFFER_BYTES (4 << 20) /* a whole window, each in a page */
#define END_BYTES 1 /* a datagram that ends pong */
#define LOSS_SECONDS 20

/* The operations: the low byte of a mark. */
enum { DISK_READ_1 = 1, DISK_READ_32, UDP_ROUND_TRIP, UDP_BULK };
static const char *const NAMES[] = {
	[DISK_READ_1] = "disk_read_1",
	[DISK_READ_32] = "disk_read_32",
	[UDP_ROUND_TRIP] = "udp_round_trip",
	[UDP_BULK] = "udp_bulk",
};

/* nopl 0x4a42KKOO(%rax), KK: what the mark is for. */
enum { MARK_BEGIN = 1, MARK_END, MARK_SERIES_END };
#define MARK(kind, operation) \
	__asm__ volatile(".byte 0x0f, 0x1f, 0x80\n\t.long %c0" : : "i"(0x4a420000 | (kind) << 8 | (operation)) : "memory")

static uint64_t samples[SAMPLES];
static uint8_t buffers[DEPTH][BLOCK_BYTES] __attribute__((aligned(BLOCK_BYTES)));

static uint64_t rdtsc(void)
{
	uint32_t low;
	uint32_t high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void must(bool good, const char *what)
{
	if (!good) {
		fail(what);
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void print_samples(int operation)
{
	uint64_t sum = 0;
	qsort(samples, SAMPLES, sizeof(samples[0]), compare);
	for (int i = 0; i < SAMPLES; i++) {
		sum += samples[i];
	}
	printf("JANUS: bench=%s median=%llu min=%llu mean=%llu ops=%d\n", NAMES[operation],
	       (unsigned long long)samples[SAMPLES / 2], (unsigned long long)samples[0], (unsigned long long)(sum / SAMPLES),
	       SAMPLES);
}

/* What was measured once, over @count operations. */
static void print_average(int operation, uint64_t ticks, uint64_t count)
{
	unsigned long long each = ticks / count;
	printf("JANUS: bench=%s median=%llu min=%llu mean=%llu ops=%llu\n", NAMES[operation], each, each, each,
	       (unsigned long long)count);
}

/* Disk */

struct disk {
	int fd;
	uint32_t blocks;
	uint32_t random;
};

/* A block's offset: xorshift, the same run after run. */
static int64_t next_offset(struct disk *disk)
{
	disk->random ^= disk->random << 13;
	disk->random ^= disk->random >> 17;
	disk->random ^= disk->random << 5;
	return (int64_t)(disk->random % disk->blocks) * BLOCK_BYTES;
}

static void read_once(struct disk *disk, int64_t offset)
{
	must(pread(disk->fd, buffers[0], BLOCK_BYTES, offset) == BLOCK_BYTES, "read");
}

static void measure_single_reads(struct disk *disk)
{
	for (int i = 0; i < WARM_UPS; i++) {
		read_once(disk, next_offset(disk));
	}
	for (int i = 0; i < SAMPLES; i++) {
		int64_t offset = next_offset(disk);
		MARK(MARK_BEGIN, DISK_READ_1);
		uint64_t begun = rdtsc();
		read_once(disk, offset);
		samples[i] = rdtsc() - begun;
		MARK(MARK_END, DISK_READ_1);
	}
	MARK(MARK_SERIES_END, DISK_READ_1);
	print_samples(DISK_READ_1);
}

/* Starts @count of the reads in @slots, all in one call. */
static void submit(struct disk *disk, aio_context_t context, struct iocb **slots, int count)
{
	for (int i = 0; i < count; i++) {
		slots[i]->aio_offset = next_offset(disk);
	}
	must(syscall(SYS_io_submit, context, (long)count, slots) == count, "io_submit");
}

/* Waits for reads to complete, and starts as many again, until @count are done. Gives how many calls it took. */
static int read_deep(struct disk *disk, aio_context_t context, int count)
{
	struct io_event events[DEPTH];
	struct iocb *again[DEPTH];
	int calls = 0;
	for (int done = 0; done < count; calls++) {
		long got = syscall(SYS_io_getevents, context, 1L, (long)DEPTH, events, NULL);
		must(got > 0, "io_getevents");
		for (long i = 0; i < got; i++) {
			must(events[i].res == BLOCK_BYTES, "queued read");
			again[i] = (struct iocb *)(uintptr_t)events[i].obj;
		}
		submit(disk, context, again, (int)got);
		done += (int)got;
	}
	return calls;
}

static void measure_deep_reads(struct disk *disk)
{
	static struct iocb blocks[DEPTH];
	struct iocb *slots[DEPTH];
	aio_context_t context = 0;
	must(syscall(SYS_io_setup, (long)DEPTH, &context) == 0, "io_setup");
	for (int i = 0; i < DEPTH; i++) {
		blocks[i].aio_lio_opcode = IOCB_CMD_PREAD;
		blocks[i].aio_fildes = (uint32_t)disk->fd;
		blocks[i].aio_buf = (uintptr_t)buffers[i];
		blocks[i].aio_nbytes = BLOCK_BYTES;
		slots[i] = &blocks[i];
	}
	submit(disk, context, slots, DEPTH);
	read_deep(disk, context, DEEP_WARM_UPS);
	MARK(MARK_BEGIN, DISK_READ_32);
	uint64_t begun = rdtsc();
	int calls = read_deep(disk, context, DEEP_READS);
	uint64_t took = rdtsc() - begun;
	MARK(MARK_END, DISK_READ_32);
	MARK(MARK_SERIES_END, DISK_READ_32);
	print_average(DISK_READ_32, took, DEEP_READS);
	printf("JANUS: bench_getevents=%d\n", calls);
}

static void run_disk(const char *path)
{
	uint64_t bytes = 0;
	struct disk disk = {.fd = open(path, O_RDONLY | O_DIRECT), .random = 0x2545f491};
	must(disk.fd >= 0, path);
	must(ioctl(disk.fd, BLKGETSIZE64, &bytes) == 0 && bytes >= BLOCK_BYTES, "BLKGETSIZE64");
	disk.blocks = (uint32_t)((bytes < SPAN_BYTES ? bytes : SPAN_BYTES) / BLOCK_BYTES);
	measure_single_reads(&disk);
	measure_deep_reads(&disk);
}

/* Network */

static int open_socket(uint16_t port, const char *peer)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int room = RECEIVE_BUFFER_BYTES;
	must(fd >= 0, "socket");
	must(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) == 0, "SO_RCVBUFFORCE");
	if (peer == NULL) {
		must(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
		return fd;
	}
	struct timeval limit = {.tv_sec = LOSS_SECONDS};
	must(inet_pton(AF_INET, peer, &address.sin_addr) == 1, "ADDRESS");
	must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0, "SO_RCVTIMEO");
	must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
	return fd;
}

static void send_bytes(int fd, size_t bytes)
{
	must(send(fd, buffers[0], bytes, 0) == (ssize_t)bytes, "send");
}

static void receive_bytes(int fd, size_t bytes)
{
	must(recv(fd, buffers[1], sizeof(buffers[1]), 0) == (ssize_t)bytes, "receive: a datagram was lost");
}

/* Answers each @each-th datagram with @bytes bytes of it, until one of END_BYTES comes. */
static void answer(int fd, unsigned int each, size_t bytes)
{
	struct sockaddr_in from;
	socklen_t from_bytes = sizeof(from);
	for (unsigned int seen = 1;; seen++) {
		ssize_t got = recvfrom(fd, buffers[0], sizeof(buffers[0]), 0, (struct sockaddr *)&from, &from_bytes);
		must(got > 0, "receive");
		if (got == END_BYTES) {
			return;
		}
		if (seen % each == 0) {
			must(sendto(fd, buffers[0], bytes, 0, (struct sockaddr *)&from, from_bytes) == (ssize_t)bytes, "answer");
		}
	}
}

static void run_pong(void)
{
	int ping = open_socket(PING_PORT, NULL);
	int bulk = open_socket(BULK_PORT, NULL);
	printf("JANUS: bench_pong=ready\n");
	answer(ping, 1, PING_BYTES);
	answer(bulk, ACK_EACH, ACK_BYTES);
}

static void round_trip(int fd)
{
	send_bytes(fd, PING_BYTES);
	receive_bytes(fd, PING_BYTES);
}

static void run_ping(const char *peer)
{
	int fd = open_socket(PING_PORT, peer);
	for (int i = 0; i < WARM_UPS; i++) {
		round_trip(fd);
	}
	for (int i = 0; i < SAMPLES; i++) {
		MARK(MARK_BEGIN, UDP_ROUND_TRIP);
		uint64_t begun = rdtsc();
		round_trip(fd);
		samples[i] = rdtsc() - begun;
		MARK(MARK_END, UDP_ROUND_TRIP);
	}
	MARK(MARK_SERIES_END, UDP_ROUND_TRIP);
	print_samples(UDP_ROUND_TRIP);
	send_bytes(fd, END_BYTES);
}

/* Sends @count datagrams, and waits until all are acknowledged. @count: of whole ACK_EACH. */
static void send_bulk(int fd, int count)
{
	int acknowledged = 0;
	for (int sent = 0; sent < count; sent++) {
		if (sent - acknowledged == WINDOW) {
			receive_bytes(fd, ACK_BYTES);
			acknowledged += ACK_EACH;
		}
		send_bytes(fd, BULK_BYTES);
	}
	for (; acknowledged < count; acknowledged += ACK_EACH) {
		receive_bytes(fd, ACK_BYTES);
	}
}

static void run_bulk(const char *peer)
{
	int fd = open_socket(BULK_PORT, peer);
	send_bulk(fd, BULK_WARM_UPS);
	MARK(MARK_BEGIN, UDP_BULK);
	uint64_t begun = rdtsc();
	send_bulk(fd, BULK_PACKETS);
	uint64_t took = rdtsc() - begun;
	MARK(MARK_END, UDP_BULK);
	MARK(MARK_SERIES_END, UDP_BULK);
	print_average(UDP_BULK, took, BULK_PACKETS);
	send_bytes(fd, END_BYTES);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (strcmp(what, "pong") == 0 && argc == 2) {
		run_pong();
	} else if (strcmp(what, "disk") == 0 && argc == 3) {
		run_disk(argv[2]);
	} else if (strcmp(what, "ping") == 0 && argc == 3) {
		run_ping(argv[2]);
	} else if (strcmp(what, "bulk") == 0 && argc == 3) {
		run_bulk(argv[2]);
	} else {
		fprintf(stderr, "usage: io disk DEVICE | pong | ping ADDRESS | bulk ADDRESS\n");
		return 2;
	}
	return 0;
}
