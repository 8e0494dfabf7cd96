# Linux's own header of Hyper-V's interface, out of Debian's linux-headers package, for hyperv_abi_test. Kept once
# it is there, so a second run needs no network.
.PHONY: abi-headers
abi-headers: $(B)/abi/hyperv-tlfs.h
$(B)/abi/hyperv-tlfs.h:
	@rm -rf $(B)/abi/linux && mkdir -p $(B)/abi/linux
	cd $(B)/abi/linux && apt-get -qq -o APT::Sandbox::User=root download \
		$$(apt-cache search --names-only '^linux-headers-6\.12\..*-common$$' | grep -v -- -rt- | sort -V | tail -n 1 | cut -d ' ' -f 1)
	dpkg-deb --fsys-tarfile $(B)/abi/linux/*.deb | tar -x -C $(B)/abi/linux --wildcards \
		'*/arch/x86/include/asm/hyperv-tlfs.h' '*/include/asm-generic/hyperv-tlfs.h'
	cat $(B)/abi/linux/usr/src/*/arch/x86/include/asm/hyperv-tlfs.h \
		$(B)/abi/linux/usr/src/*/include/asm-generic/hyperv-tlfs.h | grep -v '^#include' > $@
	rm -rf $(B)/abi/linux

# The same for VMBus: include/linux/hyperv.h of the 6.1 series, for vmbus_abi_test.
abi-headers: $(B)/abi/linux-vmbus.h
$(B)/abi/linux-vmbus.h: tests/unit/vmbus_abi_extract.awk
	@rm -rf $(B)/abi/linux61 && mkdir -p $(B)/abi/linux61
	cd $(B)/abi/linux61 && apt-get -qq -o APT::Sandbox::User=root download \
		$$(apt-cache search --names-only '^linux-headers-6\.1\..*-common$$' | grep -v -- -rt- | sort -V | tail -n 1 | cut -d ' ' -f 1)
	dpkg-deb --fsys-tarfile $(B)/abi/linux61/*.deb | tar -x -C $(B)/abi/linux61 --wildcards '*/include/linux/hyperv.h'
	awk -f tests/unit/vmbus_abi_extract.awk $(B)/abi/linux61/usr/src/*/include/linux/hyperv.h > $@
	rm -rf $(B)/abi/linux61
