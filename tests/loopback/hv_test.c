/*
 * hv_test.c - the Hyper-V face's bus with a real guest's side: versions, offers, integration
 * components, unload and new contact, and the end at every moment.
 */
#include "tests/loopback/hv_rig.h"

#define GUEST0 (&hv_rig.hvs[0])

/* ------------------------------------------------------------------ the bus */

static void test_start(void)
{
	uint8_t *page;
	uint64_t value;

	hv_rig_up(0, VERSION_WIN10_V5_3, 2, 1);
	CU_ASSERT_EQUAL(GUEST0->vp_index, 0);
	page = hv_rig.loops[0].guest.ops->page_at(&hv_rig.loops[0], GUEST0->hypercall_page.gfn);
	CU_ASSERT_EQUAL(page[0], 0xF3); /* ENDBR64, then VMMCALL or VMCALL */
	CU_ASSERT_EQUAL(page[4], 0x0F);
	CU_ASSERT_EQUAL(page[5], 0x01);
	CU_ASSERT_TRUE(hv_rig.loops[0].guest.ops->rdmsr(&hv_rig.loops[0], HV_X64_MSR_TIME_REF_COUNT,
							&value));
	CU_ASSERT_EQUAL(hv_call(GUEST0, 0x7FFF, 0, 0), HV_STATUS_INVALID_HYPERCALL_CODE);
	CU_ASSERT_EQUAL(hv_post_message(GUEST0, 99, "12345678", 8), HV_STATUS_INVALID_CONNECTION_ID);
	CU_ASSERT_EQUAL(hv_signal_event(GUEST0, 99, 0), HV_STATUS_INVALID_CONNECTION_ID);
	hv_rig_down(0);
}

/* ------------------------------------------------------------------ a host that offers less */

static const struct guest_ops *full_ops;
static uint32_t taken_privileges, taken_partition;

static void cpuid_with_less(void *context, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
	full_ops->cpuid(context, leaf, subleaf, regs);
	if (leaf == HYPERV_CPUID_FEATURES) {
		regs[0] &= ~taken_privileges;
		regs[1] &= ~taken_partition;
	}
}

/* Xen's Viridian has a SynIC and no messages of the guest's; some hosts have no SynIC either. */
static void test_offers_less(void)
{
	static const struct {
		uint32_t privileges, partition;
		bool starts, has_synic;
	} hosts[] = {
		{0, HV_POST_MESSAGES | HV_SIGNAL_EVENTS, true, true},
		{0, HV_SIGNAL_EVENTS, true, true},
		{HV_MSR_SYNIC_AVAILABLE, 0, true, false},
		{HV_MSR_HYPERCALL_AVAILABLE, 0, false, false},
	};
	struct guest_ops less;
	struct guest *guest = &hv_rig.loops[0].guest;
	uint64_t value;

	for (uint32_t i = 0; i < ARRAY_COUNT(hosts); i++) {
		hv_rig_new(0, 0, 0);
		full_ops = guest->ops;
		less = *full_ops;
		less.cpuid = cpuid_with_less;
		guest->ops = &less;
		taken_privileges = hosts[i].privileges;
		taken_partition = hosts[i].partition;
		CU_ASSERT_EQUAL(hv_start(GUEST0, guest), hosts[i].starts);
		if (hosts[i].starts) {
			CU_ASSERT_FALSE(hv_bus_connect(GUEST0, VERSION_WIN10_V5_3));
			CU_ASSERT_EQUAL(GUEST0->messages != NULL, hosts[i].has_synic);
			CU_ASSERT_TRUE(less.rdmsr(guest->context, HV_X64_MSR_SCONTROL, &value));
			CU_ASSERT_EQUAL(value & HV_SYNIC_CONTROL_ENABLE, hosts[i].has_synic);
			hv_poll(GUEST0);
		}
		hv_stop(GUEST0);
		guest->ops = full_ops;
		loop_hv_free(&hv_rig.loops[0], false);
	}
}

static void test_versions(void)
{
	static const uint32_t versions[] = {
		VERSION_WIN10_V5_3, VERSION_WIN10_V5_2, VERSION_WIN10_V5_1,
		VERSION_WIN10_V5,   VERSION_WIN10_V4_1, VERSION_WIN10,
	};
	struct hv_ic ic;

	for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++) {
		hv_media_fill();
		hv_rig_up(0, versions[i], 2, 0);
		CU_ASSERT_EQUAL(GUEST0->bus.connection_id,
				versions[i] >= VERSION_WIN10_V5 ? 4 : 1);
		CU_ASSERT_EQUAL(GUEST0->bus.offer_count, 4); /* disks and three components */
		CU_ASSERT_TRUE_FATAL(hv_storvsc_open(&hv_rig.stor, GUEST0, 0));
		CU_ASSERT_TRUE(hv_disk_open(&hv_rig.disk, &hv_rig.stor, 0));
		CU_ASSERT_TRUE_FATAL(hv_ic_open(&ic, GUEST0, ICMSGTYPE_HEARTBEAT));
		CU_ASSERT_EQUAL(hv_channel_modify(&hv_rig.stor.channel, 0),
				versions[i] >= VERSION_WIN10_V4_1);
		CU_ASSERT_FALSE(hv_channel_modify(&hv_rig.stor.channel, 7) &&
				versions[i] >= VERSION_WIN10_V5_3);
		CU_ASSERT_TRUE(hv_ic_close(&ic));
		hv_disk_down();
	}
	hv_rig_new(0, 0, 0);
	CU_ASSERT_TRUE_FATAL(hv_start(GUEST0, &hv_rig.loops[0].guest));
	CU_ASSERT_FALSE(hv_bus_connect(GUEST0, VERSION_WIN8_1)); /* we have none that old */
	CU_ASSERT_TRUE(hv_bus_connect(GUEST0, VERSION_WIN10_V5_3));
	hv_rig_down(0);
}

static void test_offers(void)
{
	const struct vmbus_channel_offer_channel *offer;

	switch_init(&hv_rig.lan, "lan");
	hv_media_fill();
	hv_rig_up(0, VERSION_WIN10_V5_3, 1, 2);
	CU_ASSERT_EQUAL(GUEST0->bus.offer_count, 6);
	offer = hv_bus_find(GUEST0, (struct vmbus_guid)VMBUS_CLASS_NETWORK, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(offer);
	CU_ASSERT_EQUAL(offer->chn_flags, 0);
	CU_ASSERT_EQUAL(offer->sub_channel_index, 0);
	CU_ASSERT_EQUAL(offer->is_dedicated_interrupt & 1, 1);
	CU_ASSERT_PTR_NULL(hv_bus_find(GUEST0, (struct vmbus_guid)VMBUS_CLASS_NETWORK, 2));
	offer = hv_bus_find(GUEST0, (struct vmbus_guid)VMBUS_CLASS_SHUTDOWN, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(offer);
	CU_ASSERT_EQUAL(offer->chn_flags, VMBUS_CHANNEL_ENUMERATE_DEVICE_INTERFACE |
						  VMBUS_CHANNEL_NAMED_PIPE_MODE);
	CU_ASSERT_FALSE(hv_bus_offers(GUEST0)); /* once in a connection */
	hv_rig_down(0);
}

/* Everything open: unload lets go of it all, and the bus comes up again. Then again without unload. */
static void test_unload(void)
{
	static struct hv_storvsc stor;
	static struct hv_ic ics[3];

	hv_media_fill();
	switch_init(&hv_rig.lan, "lan");
	hv_rig_up(0, VERSION_WIN10_V5_3, 2, 1);
	memset(hv_rig.ends, 0, sizeof(hv_rig.ends));
	for (uint32_t life = 0; life < 4; life++) {
		CU_ASSERT_TRUE_FATAL(hv_storvsc_open(&stor, GUEST0, 0));
		CU_ASSERT_TRUE_FATAL(hv_net_open(0));
		CU_ASSERT_TRUE(hv_ic_open(&ics[0], GUEST0, ICMSGTYPE_HEARTBEAT));
		CU_ASSERT_TRUE(hv_ic_open(&ics[1], GUEST0, ICMSGTYPE_SHUTDOWN));
		CU_ASSERT_TRUE(hv_ic_open(&ics[2], GUEST0, ICMSGTYPE_TIMESYNC));
		if (life % 2 == 0) {
			CU_ASSERT_TRUE(hv_bus_unload(GUEST0));
			CU_ASSERT_EQUAL(host_vm_leaks(hv_rig.loops[0].vm).timers, 0);
		}
		/* Nobody has the pages any more, and no one says a word about them. */
		CU_ASSERT_TRUE_FATAL(hv_bus_connect(GUEST0, VERSION_WIN10_V5_3));
		CU_ASSERT_TRUE_FATAL(hv_bus_offers(GUEST0));
		for (uint64_t gfn = 0; gfn < hv_rig.loops[0].page_count; gfn++) {
			CU_ASSERT_EQUAL(host_page_pin_count(hv_rig.loops[0].vm, gfn << PAGE_SHIFT), 0);
		}
	}
	hv_rig_forget_pages(0);
	CU_ASSERT_TRUE(hv_bus_unload(GUEST0));
	loop_hv_free(&hv_rig.loops[0], false);
}

/* ------------------------------------------------------------------ integration components */

static void pass_time(uint64_t ns)
{
	host_time_advance_ns(hv_rig.loops[0].vm, ns);
	hv_poll(GUEST0);
	hv_poll(GUEST0);
}

static void test_heartbeat(void)
{
	struct lifecycle *lifecycle = &hv_rig.loops[0].lifecycle;
	static struct hv_ic ic;

	hv_rig_up(0, VERSION_WIN10_V5_3, 0, 0);
	CU_ASSERT_TRUE_FATAL(hv_ic_open(&ic, GUEST0, ICMSGTYPE_HEARTBEAT));
	pass_time(0);
	CU_ASSERT_TRUE_FATAL(ic.ready);
	CU_ASSERT_EQUAL(ic.framework, IC_VERSION(3, 0));
	CU_ASSERT_EQUAL(ic.version, IC_VERSION(3, 0));
	for (uint32_t i = 0; i < 5; i++) {
		pass_time(2000000000);
	}
	CU_ASSERT_TRUE(ic.message_count >= 5);
	CU_ASSERT_EQUAL(lifecycle->heartbeat_count, ic.message_count);
	CU_ASSERT_EQUAL(ic.heartbeat, ic.message_count + 1);
	CU_ASSERT_EQUAL(ic.bad_count, 0);
	CU_ASSERT_TRUE(hv_ic_close(&ic));
	pass_time(10000000000);
	CU_ASSERT_EQUAL(lifecycle->heartbeat_count, ic.message_count);
	hv_rig_down(0);
}

static void test_shutdown(void)
{
	struct lifecycle *lifecycle = &hv_rig.loops[0].lifecycle;
	static struct hv_ic ic;

	hv_rig_up(0, VERSION_WIN10_V5_3, 0, 0);
	CU_ASSERT_FALSE(lifecycle_ask(lifecycle, LIFECYCLE_POWEROFF)); /* no driver yet */
	CU_ASSERT_TRUE_FATAL(hv_ic_open(&ic, GUEST0, ICMSGTYPE_SHUTDOWN));
	pass_time(0);
	CU_ASSERT_EQUAL(ic.version, IC_VERSION(3, 2));
	CU_ASSERT_TRUE(lifecycle_ask(lifecycle, LIFECYCLE_POWEROFF));
	pass_time(0);
	CU_ASSERT_TRUE(ic.shutdown_asked);
	CU_ASSERT_EQUAL(ic.shutdown_flags, IC_SHUTDOWN_FLAG_FORCE);
	CU_ASSERT_EQUAL(lifecycle->answer_count, 1);
	CU_ASSERT_TRUE(lifecycle_ask(lifecycle, LIFECYCLE_REBOOT));
	pass_time(0);
	CU_ASSERT_EQUAL(ic.shutdown_flags, IC_SHUTDOWN_FLAG_FORCE | IC_SHUTDOWN_FLAG_RESTART);
	CU_ASSERT_EQUAL(lifecycle->answer_count, 2);
	ic.refuses = true;
	CU_ASSERT_TRUE(lifecycle_ask(lifecycle, LIFECYCLE_POWEROFF));
	pass_time(0);
	CU_ASSERT_EQUAL(lifecycle->answer_count, 2);
	CU_ASSERT_TRUE(hv_ic_close(&ic));
	CU_ASSERT_FALSE(lifecycle_ask(lifecycle, LIFECYCLE_POWEROFF));
	hv_rig_down(0);
}

static void test_timesync(void)
{
	static struct hv_ic ic;
	uint64_t first;

	hv_rig_up(0, VERSION_WIN10_V5_3, 0, 0);
	CU_ASSERT_TRUE_FATAL(hv_ic_open(&ic, GUEST0, ICMSGTYPE_TIMESYNC));
	pass_time(0);
	CU_ASSERT_EQUAL(ic.version, IC_VERSION(4, 0));
	CU_ASSERT_EQUAL(ic.message_count, 1);
	CU_ASSERT_EQUAL(ic.time_flags, ICTIMESYNCFLAG_SYNC);
	first = ic.host_time;
	CU_ASSERT_TRUE(first >= IC_EPOCH_100NS);
	pass_time(5000000000);
	CU_ASSERT_EQUAL(ic.message_count, 2);
	CU_ASSERT_EQUAL(ic.time_flags, ICTIMESYNCFLAG_SAMPLE);
	CU_ASSERT_TRUE(ic.host_time - first >= 50000000 && ic.host_time - first < 50010000);
	CU_ASSERT_TRUE(hv_ic_close(&ic));
	hv_rig_down(0);
}

/* ------------------------------------------------------------------ ends at every moment */

static uint64_t end_at;

static void reset_at(struct loop_guest *loop)
{
	if (loop->exit_count == end_at) {
		loop_hv_reset(loop);
	}
}

static void test_reset_anywhere(void)
{
	uint64_t last = 1;

	hv_media_fill();
	for (end_at = 0; end_at <= last; end_at++) {
		switch_init(&hv_rig.lan, "lan");
		hv_rig_new(0, 2, 1);
		hv_rig.loops[0].guest.poll_max = 30;
		hv_rig.loops[0].at_exit = reset_at;
		hv_life();
		hv_rig.loops[0].at_exit = NULL;
		if (end_at == 0) {
			last = hv_rig.loops[0].exit_count;
			CU_ASSERT_EQUAL(hv_rig.loops[0].pages_out, 0); /* nothing failed */
		}
		CU_ASSERT_FALSE(host_vm_killed(hv_rig.loops[0].vm));
		loop_hv_reset(&hv_rig.loops[0]);
		hv_life_again();
		hv_rig_down(0);
	}
	CU_ASSERT_TRUE(last > 60);
}

/* The guest's end instead, at the same moments: nothing of it is left. */
static void test_end_anywhere(void)
{
	for (uint32_t step = 0; step < 6; step++) {
		static struct hv_io io;

		switch_init(&hv_rig.lan, "lan");
		hv_media_fill();
		hv_rig_new(0, 2, 1);
		memset(&hv_rig.ends[0], 0, sizeof(hv_rig.ends[0]));
		CU_ASSERT_TRUE(step < 1 || hv_start(GUEST0, &hv_rig.loops[0].guest));
		CU_ASSERT_TRUE(step < 2 || hv_bus_connect(GUEST0, VERSION_WIN10_V5_3));
		CU_ASSERT_TRUE(step < 3 || hv_bus_offers(GUEST0));
		CU_ASSERT_TRUE(step < 4 || hv_storvsc_open(&hv_rig.stor, GUEST0, 0));
		CU_ASSERT_TRUE(step < 4 || hv_net_open(0));
		if (step == 5) {
			CU_ASSERT_TRUE(hv_disk_open(&hv_rig.disk, &hv_rig.stor, 0));
			hv_io_alloc(&io, 0);
			hv_io_shape(&io, true, 0, 64, 4);
			CU_ASSERT_TRUE(hv_io_submit(&io));
		}
		loop_hv_free(&hv_rig.loops[0], false); /* panics if anything is left */
	}
}

UNIT_MAIN("hyper-v loopback", UNIT_TEST(test_start), UNIT_TEST(test_offers_less),
	  UNIT_TEST(test_versions), UNIT_TEST(test_offers), UNIT_TEST(test_unload), UNIT_TEST(test_heartbeat),
	  UNIT_TEST(test_shutdown), UNIT_TEST(test_timesync), UNIT_TEST(test_reset_anywhere),
	  UNIT_TEST(test_end_anywhere))
