/*
 * crash.c - what a crashing guest says of itself (TLFS, partition properties: guest crash
 * enlightenment).
 *
 * The guest goes on at first: it may write its own dump, start another kernel for that, or restart. Its words
 * go to the log, and the parameters stay as its crash reason. A guest that only spins after its crash (Linux
 * with panic=0) is ended after CRASH_GRACE_NS, so that both faces tell a crash as a crash.
 */
#include "enlighten/hyperv/hyperv_private.h"

/*
 * The end of the message says most, the log limits how many lines a guest may write, and a CPU's stack
 * is small.
 */
#define CRASH_LINES_MAX 24u
#define CRASH_LINE_BYTES 120u
#define CRASH_TAIL_BYTES 2048u

#define CRASH_GRACE_NS 10000000000ull
/* One may crash in its crash handler: the first reports go to the log, the grace runs from the very first. */
#define CRASH_REPORTS_TOLD 8u

static void crash_expired(struct vm_timer *timer)
{
	struct vm *vm = vcpu_vm(timer->vcpu);

	vm_stop(vm, VM_STOP_CRASH, hyperv_of_vm(vm)->crash_reason);
}

void hyperv_crash_init(struct vm *vm)
{
	vm_timer_init(&hyperv_of_vm(vm)->crash_timer, vm_vcpu(vm, 0), crash_expired);
}

void hyperv_crash_forget(struct vm *vm)
{
	vm_timer_disarm(&hyperv_of_vm(vm)->crash_timer);
	hyperv_of_vm(vm)->crash_reports = 0;
}

/* Start of the last CRASH_LINES_MAX lines. */
static size_t skip_early_lines(const char *text, size_t len)
{
	uint32_t lines = 0;

	for (size_t at = len; at > 0; at--) {
		if (text[at - 1] == '\n' && at != len && ++lines == CRASH_LINES_MAX) {
			return at;
		}
	}
	return 0;
}

/* The guest's bytes: only what a terminal prints as itself. */
static char printable(char c)
{
	return c >= ' ' && c <= '~' ? c : '?';
}

static void log_message(struct vm *vm, const char *text, size_t len)
{
	char line[CRASH_LINE_BYTES + 1];
	size_t used = 0;

	for (size_t at = skip_early_lines(text, len); at < len; at++) {
		bool is_end = text[at] == '\n' || at + 1 == len;

		if (text[at] != '\n') {
			line[used++] = printable(text[at]);
		}
		if (used == CRASH_LINE_BYTES || (is_end && used != 0)) {
			line[used] = '\0';
			vm_log(vm, "crash: %s", line);
			used = 0;
		}
	}
}

static void read_message(struct vm *vm, uint64_t raw_gpa, uint64_t raw_len)
{
	char text[CRASH_TAIL_BYTES];
	uint64_t skipped = raw_len > sizeof(text) ? raw_len - sizeof(text) : 0;
	size_t len = (size_t)(raw_len - skipped);

	if (len == 0 || raw_len > HV_CRASH_MESSAGE_BYTES_MAX || raw_gpa > UINT64_MAX - skipped ||
	    vm_read(vm, gpa(raw_gpa + skipped), text, len) != VM_OK) {
		vm_log(vm, "crash: no message at 0x%llx, %llu bytes", (unsigned long long)raw_gpa,
		       (unsigned long long)raw_len);
		return;
	}
	while (len > 0 && text[len - 1] == '\0') {
		len--;
	}
	log_message(vm, text, len);
}

void hyperv_report_crash(struct vm *vm, uint64_t raw_control)
{
	struct hyperv_vm *state = hyperv_of_vm(vm);
	unsigned long long p[HV_X64_MSR_CRASH_PARAMS];
	char reason[HYPERV_CRASH_REASON_BYTES];
	uint32_t report;

	if ((raw_control & HV_CRASH_CTL_CRASH_NOTIFY) == 0) {
		return;
	}
	spin_lock(&state->lock);
	for (uint32_t i = 0; i < HV_X64_MSR_CRASH_PARAMS; i++) {
		p[i] = state->crash[i];
	}
	format_print(reason, sizeof(reason), "guest crash: P0=%llx P1=%llx P2=%llx P3=%llx P4=%llx", p[0],
	             p[1], p[2], p[3], p[4]);
	memcpy(state->crash_reason, reason, sizeof(reason));
	report = state->crash_reports < CRASH_REPORTS_TOLD ? state->crash_reports++ : CRASH_REPORTS_TOLD;
	spin_unlock(&state->lock);
	if (report == 0) {
		vm_timer_arm(&state->crash_timer, vm_time_ns(vm) + CRASH_GRACE_NS);
	}
	if (report == CRASH_REPORTS_TOLD) {
		return;
	}
	vm_log(vm, "%s", reason);
	if ((raw_control & HV_CRASH_CTL_CRASH_NOTIFY_MSG) != 0) {
		read_message(vm, p[3], p[4]);
	}
}

const char *hyperv_crash_reason(const struct vm *vm)
{
	const struct hyperv_vm *state = hyperv_of_vm(vm);

	return state != NULL && state->crash_reason[0] != '\0' ? state->crash_reason : NULL;
}
