/*
 * virtio_names_test.c - disks of the host and their partitions by name, and who may have which part; on the
 * disks of virtio_fake.h.
 */
#include "tests/unit/virtio_fake.h"

#include "hypervisor/core/host_disk.c"

static uint64_t clock_hz;
static char log_text[8192];

/* ------------------------------------------------------------------ core's side */

uint64_t host_tsc_hz(void)
{
	return clock_hz;
}

unsigned int cpu_count(void)
{
	return 2;
}

void log_line(const char *format, ...)
{
	size_t len = strlen(log_text);
	va_list args;

	va_start(args, format);
	vsnprintf(log_text + len, sizeof(log_text) - len, format, args);
	va_end(args);
	strcat(log_text, "\n");
}

static bool log_has(const char *text)
{
	return strstr(log_text, text) != NULL;
}

static uint8_t pool[DISKS_MAX * 2][VIRTIO_BLK_MEMORY_BYTES] ALIGNED(4096);
static uint32_t pool_used;
static uint32_t pool_limit;

struct vm_page *frames_alloc(unsigned int order, enum frame_kind kind, uint16_t owner)
{
	CU_ASSERT(order == 2 && kind == FRAME_HOST && owner == 0);
	return pool_used < pool_limit ? (struct vm_page *)(void *)pool[pool_used++] : NULL;
}

hpa_t frames_hpa(const struct vm_page *page)
{
	return host_hpa_of(page);
}

void *heap_alloc(size_t bytes)
{
	static struct host_disk heap[DISKS_MAX * 2];
	void *memory = &heap[pool_used % (DISKS_MAX * 2)];

	CU_ASSERT_FATAL(bytes == sizeof(heap[0]));
	memset(memory, 0, bytes);
	return memory;
}

static struct model *core_start(void)
{
	memset(pool, 0, sizeof(pool));
	memset(openings, 0, sizeof(openings));
	pool_used = disk_count = partition_count = 0;
	pool_limit = DISKS_MAX * 2;
	clock_hz = 1000000000ull;
	log_text[0] = 0;
	return machine_start();
}

/* ------------------------------------------------------------------ disks and partitions by name */

static struct block guest_disks[4];

static void table_start(struct model *model)
{
	memset(model->data, 0, sizeof(model->data));
	memcpy(model->data + 512, "EFI PART\0\0\1\0\x5c\0\0", 16);
	model->data[512 + 24] = 1; /* where it is */
	model->data[512 + 40] = 6; /* first and last usable */
	word_put(model->data + 512 + 48, SECTORS - 1);
	model->data[512 + 72] = 2; /* the table, of 16 rows of 128 bytes */
	model->data[512 + 80] = 16;
	model->data[512 + 84] = 128;
}

static void partition_put(struct model *model, uint32_t row, const char *name, uint32_t from, uint32_t to)
{
	uint8_t *at = model->data + 1024 + row * 128;

	memset(at, 0, 128);
	at[0] = 1;
	word_put(at + 32, from);
	word_put(at + 40, to);
	for (size_t i = 0; name[i] != 0; i++) {
		at[56 + 2 * i] = (uint8_t)name[i];
	}
}

static void table_seal(struct model *model)
{
	word_put(model->data + 512 + 88, blob_crc32(model->data + 1024, 16 * 128));
	word_put(model->data + 512 + 16, 0);
	word_put(model->data + 512 + 16, blob_crc32(model->data + 512, 92));
}

/* Two disks: one with "web" and "db", one with "logs" and a "twin" on each. */
static void disks_start(void)
{
	struct model *model = core_start();

	table_start(model);
	partition_put(model, 0, "web", 40, 99);
	partition_put(model, 2, "db", 100, 199);
	partition_put(model, 3, "twin", 200, 209);
	table_seal(model);
	model = model_put(1);
	table_start(model);
	partition_put(model, 0, "logs", 6, 105);
	partition_put(model, 1, "twin", 106, 107);
	table_seal(model);
	host_disks_init();
}

static bool open_it(uint32_t index, const char *name, bool read_only)
{
	return host_disk_open(&guest_disks[index], strncmp(name, "virtio", 6) != 0 && name[0] != 's', name,
	                      read_only, "guest");
}

static void test_names(void)
{
	disks_start();
	CU_ASSERT(log_has("disk virtio0: 256 KiB, serial \"serial0\", MSI-X\n"));
	CU_ASSERT(log_has("disk virtio0: partition \"db\": 50 KiB at sector 100\n"));
	CU_ASSERT(log_has("disk virtio1: partition \"logs\": 50 KiB at sector 6\n"));
	CU_ASSERT(log_has("disks of the host: 2, PCI by ECAM\n"));
	CU_ASSERT_EQUAL(partition_count, 5);
	CU_ASSERT(open_it(0, "db", false));
	CU_ASSERT(guest_disks[0].first_sector == 100 && block_sector_count(&guest_disks[0]) == 100);
	CU_ASSERT_STRING_EQUAL(block_serial(&guest_disks[0]), "guest");
	CU_ASSERT(open_it(1, "serial1", true));
	CU_ASSERT(guest_disks[1].medium == &disks[1]->virtio && guest_disks[1].first_sector == 0);
	CU_ASSERT_FALSE(open_it(2, "twin", true));
	CU_ASSERT(log_has("partition \"twin\": refused: there are two, on virtio0 and virtio1"));
	CU_ASSERT_FALSE(open_it(2, "serial", true));
	CU_ASSERT_FALSE(open_it(2, "virtio2", true));
	CU_ASSERT_FALSE(open_it(2, "we", true));
	CU_ASSERT_FALSE(host_disk_open(&guest_disks[2], false, "", true, "x"));
}

static struct block_request request;
static enum block_status last;
static uint8_t buffer[4096] ALIGNED(4096);

static void on_done(struct block_request *ended, enum block_status status)
{
	(void)ended;
	last = status;
}

static void test_window_io(void)
{
	disks_start();
	CU_ASSERT(open_it(0, "db", false));
	memset(buffer, 0x5a, sizeof(buffer));
	request = (struct block_request){.operation = BLOCK_WRITE, .sector = 99, .done = on_done};
	request.segment_count = 1;
	request.segments[0] = (struct io_segment){buffer, 512};
	block_submit(&guest_disks[0], &request);
	CU_ASSERT(host_disks_pending());
	host_disks_poll();
	CU_ASSERT_FALSE(host_disks_pending());
	CU_ASSERT(last == BLOCK_OK);
	CU_ASSERT(models[0].data[199 * 512] == 0x5a && models[0].data[200 * 512] == 0);
	request.sector = 100;
	block_submit(&guest_disks[0], &request);
	CU_ASSERT_EQUAL(last, BLOCK_ERANGE);
	used_put(&models[0], 7, 0);
	host_disks_poll();
	CU_ASSERT(log_has("disk virtio0: stopped: it returned a request that it was not given"));
}

static void test_overlap(void)
{
	disks_start();
	CU_ASSERT(open_it(0, "db", false));
	CU_ASSERT_FALSE(open_it(1, "db", false));
	CU_ASSERT_FALSE(open_it(1, "db", true));
	CU_ASSERT_FALSE(open_it(1, "virtio0", false));
	CU_ASSERT_FALSE(open_it(1, "serial0", true));
	CU_ASSERT(log_has("\"serial0\" on disk virtio0: refused: in use"));
	CU_ASSERT(open_it(1, "web", false)); /* its neighbour */
	CU_ASSERT(open_it(2, "virtio1", true));
	CU_ASSERT(open_it(3, "logs", true)); /* two readers */
	host_disk_close(&guest_disks[3]);
	CU_ASSERT_FALSE(open_it(3, "logs", false));
	CU_ASSERT(open_it(0, "db", true)); /* the same guest again, after a reboot */
	CU_ASSERT(open_it(3, "db", true));
	host_disk_close(&guest_disks[0]);
	host_disk_close(&guest_disks[3]);
	host_disk_close(&guest_disks[3]);
	CU_ASSERT(open_it(3, "db", false));
}

static void test_stale_table(void)
{
	disks_start();
	CU_ASSERT(open_it(0, "virtio0", false));
	partition_put(&models[0], 0, "web", 50, 59);
	table_seal(&models[0]);
	CU_ASSERT_FALSE(open_it(1, "web", true));
	host_disk_close(&guest_disks[0]);
	CU_ASSERT(open_it(1, "web", true));
	CU_ASSERT(guest_disks[1].first_sector == 50 && block_sector_count(&guest_disks[1]) == 10);
	CU_ASSERT_EQUAL(partition_count, 5);
	CU_ASSERT(open_it(2, "virtio0", true)); /* a reader makes nothing stale */
	host_disk_close(&guest_disks[2]);
	CU_ASSERT_FALSE(disks[0]->table_is_stale);
}

static void test_odd_disks(void)
{
	struct model *model = core_start();

	model->features |= BIT64(VIRTIO_BLK_F_RO);
	table_start(model);
	partition_put(model, 0, "a\x01", 40, 41);
	partition_put(model, 1, "", 42, 43);
	partition_put(model, 2, "beyond", 500, 600);
	partition_put(model, 3, "gr\xfc\xdf", 46, 47);
	model->data[1024 + 3 * 128 + 56 + 9] = 0x20; /* U+2000 behind it */
	partition_put(model, 4, "half", 48, 49);
	model->data[1024 + 4 * 128 + 57] = 0xd8;
	table_seal(model);
	model = model_put(1);
	model->features &= ~BIT64(VIRTIO_BLK_F_FLUSH);
	strcpy(model->id, "serial0");
	model_put(2)->queue_max = 8;
	word_put(config_of(3), 0x10411af4); /* a network card */
	host_disks_init();
	CU_ASSERT(disk_count == 2 && partition_count == 1);
	CU_ASSERT(log_has("partition at sector 40 has no name to show"));
	CU_ASSERT(log_has("partition at sector 42 has no name to show"));
	CU_ASSERT(log_has("partition at sector 48 has no name to show"));
	CU_ASSERT_FALSE(log_has("beyond"));
	CU_ASSERT(log_has("disk virtio1: no partition table"));
	CU_ASSERT(log_has("no flush: an ended write is taken as stable"));
	CU_ASSERT(log_has("disk at PCI 00:02.0 left out: its queue is too small"));
	CU_ASSERT(open_it(0, "gr\xc3\xbc\xc3\x9f\xe2\x80\x80", true));
	CU_ASSERT_FALSE(open_it(1, "gr\xc3\xbc\xc3\x9f\xe2\x80\x80", false));
	host_disk_close(&guest_disks[0]);
	CU_ASSERT_FALSE(open_it(1, "virtio0", false));
	CU_ASSERT(log_has("refused: to be written, but read-only"));
	CU_ASSERT_FALSE(open_it(1, "serial0", true));
	CU_ASSERT(log_has("refused: both virtio0 and virtio1 have that name"));
	pool_limit = 0;
	host_disks_init();
	CU_ASSERT(log_has("disk at PCI 00:00.0 left out: no memory"));
}

/* Reads that fail, and a disk that never answers: it is given up, and what it had is back. */
static void test_failing_tables(void)
{
	disks_start();
	CU_ASSERT(open_it(0, "virtio0", false));
	host_disk_close(&guest_disks[0]);
	models[0].answer = VIRTIO_BLK_S_IOERR;
	CU_ASSERT_FALSE(open_it(1, "web", true));
	CU_ASSERT(log_has("disk virtio0: its partition table could not be read"));
	models[0].answer = VIRTIO_BLK_S_OK;
	CU_ASSERT(open_it(0, "virtio0", false));
	host_disk_close(&guest_disks[0]);
	CU_ASSERT(open_it(1, "web", true));
	host_disk_close(&guest_disks[1]);
	CU_ASSERT(open_it(0, "virtio0", false));
	host_disk_close(&guest_disks[0]);
	models[0].is_deaf = true;
	clock_hz = 10000;
	CU_ASSERT_FALSE(open_it(1, "web", true));
	CU_ASSERT(log_has("disk virtio0: stopped: no answer in 5 seconds"));
	CU_ASSERT_EQUAL(disks[0]->virtio.state, VIRTIO_BLK_BROKEN);
	CU_ASSERT(open_it(1, "logs", true)); /* the others stay */
}

UNIT_MAIN("virtio_names", UNIT_TEST(test_names), UNIT_TEST(test_window_io), UNIT_TEST(test_overlap),
          UNIT_TEST(test_stale_table), UNIT_TEST(test_odd_disks), UNIT_TEST(test_failing_tables))
