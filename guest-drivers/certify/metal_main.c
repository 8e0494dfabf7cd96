/*
 * metal_main.c - the certification guest on the metal: options, consoles, which of its modes, the end.
 *
 * Options: mode=probe|bench|echo, only=TABLE or ID, after=ID, cpus=N, pace=N (at most so many bytes a second, for a host
 * whose own console is a slow line and drops what comes faster).
 */
#include "guest-drivers/certify/metal.h"
#include "guest-drivers/metal/console.h"
#include "guest-drivers/metal/machine.h"
#include "guest-drivers/text.h"

#define ID_BYTES 96u
#define SLEEP_EACH 64u
#define POLLS_MAX 600000u /* some ten seconds */

static struct certify certify;

static void print_line(void *context, const char *text)
{
	static uint64_t pace = UINT64_MAX;
	size_t length = text_length(text) + 1;

	(void)context;
	console_write(text, length - 1);
	console_write("\n", 1);
	pace = pace == UINT64_MAX ? option_number("pace", 0) : pace;
	if (pace != 0 && certify.machine != NULL) {
		certify.machine->wait_ns(length * NS_PER_SECOND / pace, true);
	}
}

/* The word behind `key=`, kept in @room; NULL: there is none. */
static const char *option(const char *key, char room[ID_BYTES])
{
	return option_text(key, room, ID_BYTES) ? room : NULL;
}

void program_main(void)
{
	static char only[ID_BYTES];
	static char after[ID_BYTES];

	certify.line = print_line;
	certify.options.boot = boot_kind_name(boot_info.kind);
	certify.options.only = option("only", only);
	certify.options.after = option("after", after);
	if (option_is("mode", "echo")) {
		certify.guest = machine_open(true);
		print_line(NULL,
		           echo_run(&certify) ? "# end" : "Bail out! no card of either face to answer on");
		power_off();
	}
	certify.guest = machine_open(false);
	certify.guest->poll_max = POLLS_MAX;
	machine_sleep_each(SLEEP_EACH);
	certify.machine = metal_machine_open();
	if (option_is("mode", "bench")) {
		metal_bench(&certify);
	} else {
		certify_run(&certify);
	}
	power_off();
}
