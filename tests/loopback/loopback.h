/*
 * loopback.h - guests of the hosted machine that run the drivers of guest-drivers/ against our
 * faces, in one process.
 *
 * A loop_guest is a hosted vm and the guest_ops over it: pages are the vm's RAM, a hypercall puts
 * its arguments into the vCPU's registers and calls the face, poll runs the deferred work of all
 * loop guests and turns their time by a microsecond. Everything happens in the calling thread, in
 * the same order each time. Or, with
 * @threaded, each guest has a thread, work runs in others (host_threads_start), and poll only lets
 * them.
 */
#ifndef TESTS_LOOPBACK_LOOPBACK_H
#define TESTS_LOOPBACK_LOOPBACK_H

#include "backend/block.h"
#include "backend/console.h"
#include "backend/lifecycle.h"
#include "backend/switch.h"
#include "guest-drivers/guest.h"
#include "tests/host/host.h"
#include "vm/face.h"

#define LOOP_GUEST_MAX 4u
#define LOOP_CONSOLE_BYTES 8192u

/* What the guest is made of; zeros mean none. */
struct loop_config {
	uint32_t id;
	uint64_t memory_bytes; /* default 8 MiB */
	uint32_t disk_count;
	struct vm_disk_config disks[VM_DISK_MAX];
	uint32_t nic_count;
	struct ether_switch *nic_switch; /* all NICs are on it */
	uint8_t first_mac;               /* 02:00:00:00:00:nn, counted up */
};

struct loop_guest {
	struct vm *vm;
	struct vcpu *vcpu; /* 0: the one that runs */
	const struct face *face;
	struct guest guest;
	struct console console;
	struct lifecycle lifecycle;
	struct switch_port ports[VM_NIC_MAX];
	uint32_t nic_count;
	uint8_t *page_used; /* by frame number */
	uint64_t page_count;
	uint64_t pages_out; /* that drivers hold */
	uint64_t exit_count; /* hypercalls and polls */
	bool threaded; /* set by the test, with host_time_real() */
	/* Called before each hypercall and each poll: a test's own doings. NULL: none. */
	void (*at_exit)(struct loop_guest *loop);
	char console_text[LOOP_CONSOLE_BYTES]; /* what came out, lines ended by newlines */
	size_t console_len;
};

/*
 * The vm, its backends and ops; the face is not created yet. @face_config: which face its
 * configuration names.
 */
void loop_new(struct loop_guest *loop, const struct loop_config *config, const struct face *face,
	      bool xen_face, bool hyperv_face);
/* Ends it; asks that drivers gave all pages back (@strict) and that nothing is left in the vm. */
void loop_free(struct loop_guest *loop, bool strict);
/* Runs the deferred work of all loop guests once. True if there was any. */
bool loop_run_all(void);

/* xen_loopback.c: a guest with the Xen face and the store and devices behind it. */
void loop_xen_new(struct loop_guest *loop, const struct loop_config *config);
/* As a reset of the machine: devices, face, RAM that was given away, devices again. */
void loop_xen_reset(struct loop_guest *loop);
void loop_xen_free(struct loop_guest *loop, bool strict);

#endif /* TESTS_LOOPBACK_LOOPBACK_H */
