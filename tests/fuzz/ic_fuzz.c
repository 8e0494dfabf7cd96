/*
 * ic_fuzz.c - libFuzzer: heartbeat, shutdown and time at once, with a guest's driver whose answers have any shape: late, never,
 * twice, with another's number, too short, with versions that nobody offered; hosts that ask, time that passes, closes.
 *
 * Input: steps. What must hold: a component has one message under way; its messages are whole, of the versions agreed on,
 * with nothing of ours in what is unused; it says nothing before they are agreed on; no heartbeat and no answer is counted
 * that the guest has not given; a channel that is closed has no timer.
 */
#include "tests/fuzz/fuzz_guest.h"

#define COMPONENTS 3u
#define RINGS(n) (0x100000ull + (n)*0x10000ull)
#define RING_PAGES 3u
#define STEPS_MAX 100u
#define SECOND_NS 1000000000ull

struct message {
	struct vmpipe_proto_header pipe;
	struct icmsg_hdr head;
	uint8_t body[2100];
} PACKED;

struct component {
	struct guest_channel channel;
	bool is_open, ready;
	bool under_way; /* taken by the guest, not answered */
	bool synced;
	uint32_t framework, version;
	uint64_t good_answers;
	struct message last;
};

static const uint16_t types[COMPONENTS] = {ICMSGTYPE_HEARTBEAT, ICMSGTYPE_SHUTDOWN, ICMSGTYPE_TIMESYNC};
static struct guest *guest;
static struct component components[COMPONENTS];

static bool is_offered(const struct component *c, uint32_t framework, uint32_t version)
{
	const uint32_t *offers =
	        (const uint32_t *)(const void *)(c->last.body + sizeof(struct icmsg_negotiate));
	struct icmsg_negotiate counts;
	bool found[2] = {false, false};

	memcpy(&counts, c->last.body, sizeof(counts));
	for (uint32_t i = 0; i < counts.icframe_vercnt + (uint32_t)counts.icmsg_vercnt; i++) {
		uint32_t offer, wanted = i < counts.icframe_vercnt ? framework : version;

		memcpy(&offer, offers + i, sizeof(offer));
		found[i >= counts.icframe_vercnt] |= offer == wanted;
	}
	return found[0] && found[1];
}

/* ------------------------------------------------------------------ from the component */

static bool is_zero(const uint8_t *bytes, uint32_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static void check_time(struct component *c)
{
	uint8_t flags = c->last.body[(c->version & 0xFFFF) >= 4 ? 16 : 24];
	uint64_t time;

	memcpy(&time, c->last.body, sizeof(time));
	must(time >= IC_EPOCH_100NS + guest->clock.wall_ns / 100);
	must(time <= IC_EPOCH_100NS + (guest->clock.wall_ns + vm_time_ns(guest->vm)) / 100);
	must(flags == (c->synced ? ICTIMESYNCFLAG_SAMPLE : ICTIMESYNCFLAG_SYNC));
	c->synced = true;
}

static void check_message(uint32_t number)
{
	struct component *c = &components[number];
	const struct icmsg_hdr *head = &c->last.head;

	must(c->last.pipe.pkt_type == VMBUS_PIPE_DATA);
	must(c->last.pipe.data_size == sizeof(*head) + head->icmsgsize);
	must(head->icflags == (ICMSGHDRFLAG_TRANSACTION | ICMSGHDRFLAG_REQUEST));
	must(head->status == 0 && head->reserved[0] == 0 && head->reserved[1] == 0);
	if (!c->ready) {
		must(head->icmsgtype == ICMSGTYPE_NEGOTIATE);
		return;
	}
	must(head->icmsgtype == types[number]);
	must(head->icverframe == c->framework && head->icvermsg == c->version);
	if (number == 0) {
		must(head->icmsgsize == sizeof(struct heartbeat_msg_data) && is_zero(c->last.body + 8, 32));
	} else if (number == 1) {
		must(head->icmsgsize == sizeof(struct shutdown_msg_data) && is_zero(c->last.body + 12, 2048));
	} else {
		check_time(c);
	}
}

/* The next message, if there is one. */
static void take_message(uint32_t number)
{
	struct component *c = &components[number];
	struct vmpacket_descriptor d;

	if (c->is_open && guest_take(guest, &c->channel, &d, &c->last, sizeof(c->last)) >= 0) {
		must(d.type == VM_PKT_DATA_INBAND && !c->under_way);
		c->under_way = true;
		check_message(number);
		(void)host_run(guest->vm);
	}
}

/* ------------------------------------------------------------------ to the component */

static void send(struct component *c, uint16_t type, const void *payload, uint32_t len)
{
	const struct vmpacket_descriptor d = {
	        .type = type, .offset8 = 2, .len8 = (uint16_t)((16 + len + 7) / 8), .trans_id = 1};

	if (c->is_open && fuzz_room(guest, &c->channel) > len + 64) {
		fuzz_send(guest, &c->channel, &d, sizeof(d), payload, len, 1000);
	}
}

/* Is it an answer that the component has to take? Then the guest is rid of the message. */
static void count_answer(uint32_t number, const struct message *m)
{
	struct component *c = &components[number];
	struct icmsg_negotiate counts;
	uint32_t chosen[2];

	if (!c->is_open || fuzz_room(guest, &c->channel) <= m->pipe.data_size + 8 + 64 || !c->under_way ||
	    m->head.ictransaction_id != c->last.head.ictransaction_id ||
	    (m->head.icflags & ICMSGHDRFLAG_RESPONSE) == 0 || m->head.icmsgtype != c->last.head.icmsgtype ||
	    m->pipe.pkt_type != VMBUS_PIPE_DATA) {
		return;
	}
	if (c->ready && m->pipe.data_size >= c->last.pipe.data_size) {
		c->under_way = false;
		c->good_answers += m->head.status == 0;
	} else if (!c->ready) {
		memcpy(&counts, m->body, sizeof(counts));
		memcpy(chosen, m->body + sizeof(counts), sizeof(chosen));
		c->under_way = false;
		c->ready = m->pipe.data_size >= 20 + 16 && counts.icframe_vercnt == 1 &&
		           counts.icmsg_vercnt == 1 && is_offered(c, chosen[0], chosen[1]);
		c->framework = chosen[0];
		c->version = chosen[1];
		c->synced = false;
	}
}

static void choose_versions(struct input *in, struct message *m)
{
	const struct icmsg_negotiate counts = {.icframe_vercnt = 1, .icmsg_vercnt = 1};
	uint8_t which = take8(in);
	uint32_t chosen[2] = {IC_VERSION(which & 1 ? 3 : 1, 0), IC_VERSION(which >> 1 & 3, 0)};

	if (which >= 0x80) {
		take(in, chosen, sizeof(chosen));
	}
	memcpy(m->body, &counts, sizeof(counts));
	memcpy(m->body + sizeof(counts), chosen, sizeof(chosen));
	m->head.icmsgsize = 16;
	m->pipe.data_size = sizeof(m->head) + 16;
}

/* The last message sent back, right or bent. */
static void answer(struct input *in, uint32_t number)
{
	static struct message m;
	uint8_t how = take8(in);
	uint32_t len;

	m = components[number].last;
	m.head.icflags = ICMSGHDRFLAG_TRANSACTION | ICMSGHDRFLAG_RESPONSE;
	if (m.head.icmsgtype == ICMSGTYPE_NEGOTIATE) {
		choose_versions(in, &m);
	}
	for (uint32_t i = 0; i < (how & 3u); i++) {
		uint8_t where = take8(in);

		((uint8_t *)&m)[where % 64u] = take8(in);
	}
	if ((how & 4) != 0) {
		m.pipe.data_size = take8(in);
	}
	len = m.pipe.data_size < sizeof(m) - 8 ? m.pipe.data_size + 8 : (uint32_t)sizeof(m);
	if (len == m.pipe.data_size + 8 && m.pipe.data_size >= sizeof(m.head)) {
		count_answer(number, &m);
	}
	send(&components[number], VM_PKT_DATA_INBAND, &m, (how & 0xF0) == 0xF0 ? len / 2 : len);
}

static void send_noise(struct input *in, uint32_t number)
{
	uint8_t bytes[64], len = take8(in) % 64u;

	take(in, bytes, len);
	if (len >= 28) { /* it is no answer */
		bytes[8 + offsetof(struct icmsg_hdr, icflags)] &= (uint8_t)~ICMSGHDRFLAG_RESPONSE;
	}
	send(&components[number], len % 8 == 7 ? VM_PKT_COMP : VM_PKT_DATA_INBAND, bytes, len);
}

/* ------------------------------------------------------------------ life */

static void open_component(uint32_t number)
{
	static const struct vmbus_guid classes[COMPONENTS] = {VMBUS_CLASS_HEARTBEAT, VMBUS_CLASS_SHUTDOWN,
	                                                      VMBUS_CLASS_TIMESYNC};
	struct component *c = &components[number];
	uint64_t good = c->good_answers;

	*c = (struct component){.is_open = true, .good_answers = good};
	guest_open(guest, &c->channel, classes[number], RINGS(number), RING_PAGES);
	(void)host_run(guest->vm);
}

static void close_component(uint32_t number)
{
	struct component *c = &components[number];

	if (c->is_open) {
		guest_close(guest, &c->channel);
		guest_post_teardown(guest, c->channel.offer.child_relid, c->channel.gpadl);
		must(guest_receive(guest) == CHANNELMSG_GPADL_TORNDOWN);
		c->is_open = false;
		c->ready = false;
	}
}

/* As the driver does it from its start. */
static void agree(struct input *in, uint32_t number)
{
	static const uint8_t right[] = {0, 3};
	struct input chosen = {right, sizeof(right)};

	(void)in;
	take_message(number);
	if (components[number].under_way && !components[number].ready) {
		answer(&chosen, number);
		take_message(number);
	}
}

static void ask(uint8_t which)
{
	bool taken = lifecycle_ask(&guest->lifecycle, which % 2 != 0 ? LIFECYCLE_REBOOT : LIFECYCLE_POWEROFF);

	must(!taken || components[1].ready);
	(void)host_run(guest->vm);
}

static void check(void)
{
	must(guest->lifecycle.heartbeat_count <= components[0].good_answers);
	must(guest->lifecycle.answer_count <= components[1].good_answers);
	must(!host_vm_killed(guest->vm));
	fuzz_check_gpadls(guest, 0);
}

static void step(struct input *in)
{
	uint8_t what = take8(in);
	uint32_t number = what / 8 % COMPONENTS;

	switch (what % 8) {
	case 0:
		take_message(number);
		break;
	case 1:
	case 2:
		answer(in, number);
		break;
	case 3:
		agree(in, number);
		break;
	case 4:
		host_time_advance_ns(guest->vm, take8(in) * SECOND_NS / 16);
		(void)host_run(guest->vm);
		break;
	case 5:
		ask(what / 8);
		break;
	case 6:
		send_noise(in, number);
		break;
	default:
		close_component(number);
		if (what < 0xC0) {
			open_component(number);
		}
		break;
	}
	check();
}

/* With all components open. */
static void begin(void)
{
	static struct host_snapshot *start;

	if (start != NULL) {
		host_snapshot_restore(start);
		return;
	}
	guest = fuzz_guest_new(NULL, 1);
	fuzz_guest_begin(guest);
	fuzz_guest_connect(guest);
	for (uint32_t i = 0; i < COMPONENTS; i++) {
		open_component(i);
	}
	start = fuzz_guest_keep(guest);
	host_snapshot_add(start, components, sizeof(components));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	begin();
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++) {
		step(&in);
	}
	for (uint32_t i = 0; i < COMPONENTS; i++) {
		close_component(i);
	}
	host_time_advance_ns(guest->vm, 20 * SECOND_NS);
	must(host_vm_leaks(guest->vm).timers == 0 && host_vm_leaks(guest->vm).pins == 0);
	fuzz_guest_end(guest, size % 16 == 0);
	return 0;
}
