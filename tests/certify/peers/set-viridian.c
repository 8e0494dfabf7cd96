/*
 * set-viridian.c - DOMAIN MASK: lets a domain that was created paused see Hyper-V's interface. The toolstack does this
 * for full HVM guests only; the hypervisor takes it for PVH ones too. MASK: HVMPV_* of Xen's public hvm/params.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <xenctrl.h>

#include <xen/hvm/params.h>

int main(int argc, char **argv)
{
	xc_interface *xen;
	uint64_t now = 0;
	uint32_t domain;

	if (argc != 3) {
		fprintf(stderr, "usage: set-viridian DOMAIN MASK\n");
		return 2;
	}
	domain = (uint32_t)strtoul(argv[1], NULL, 0);
	xen = xc_interface_open(NULL, NULL, 0);
	if (xen == NULL || xc_hvm_param_set(xen, domain, HVM_PARAM_VIRIDIAN, strtoull(argv[2], NULL, 0)) != 0 ||
	    xc_hvm_param_get(xen, domain, HVM_PARAM_VIRIDIAN, &now) != 0) {
		perror("set-viridian");
		return 1;
	}
	printf("peer: viridian=%#llx\n", (unsigned long long)now);
	return 0;
}
