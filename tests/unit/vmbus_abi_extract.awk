# Cuts out of Linux's include/linux/hyperv.h what goes over the wire: packed structures, the two enumerations and
# constants; without the kernel's own types. Usage: awk -f this hyperv.h > build/abi/linux-vmbus.h
/^(struct|enum) [a-z_0-9]+ \{/ { name = $2; text = ""; inside = 1 }
inside { text = text $0 "\n" }
inside && /^}/ {
	inside = 0
	if ((/^} __packed;/ && name !~ /_packet_page_buffer|_packet_multipage|_mpb_array/) ||
	    name ~ /^(gpa_range|vmbus_packet_type|vmbus_channel_message_type)$/) {
		print text
	}
}
!inside && /^#define (VMBUS_|ICMSG|ICTIME|HV_|MAX_|VMPIPE)[A-Z0-9_]+[ \t]+[0-9x(]/ && !/\\$/ { print }
!inside && /^static const? ?.*VERSION_/ { print }
/^#define VERSION_/ { print }
