#!/bin/busybox sh
# The machine around the KVM peer's guest: loads KVM, runs /job/run.sh (QEMU with the guest), powers off.
# COM1: its own kernel; COM2: the guest's UART; COM3: the guest's port 0xE9; COM4: what this script says.
/bin/busybox mkdir -p /usr/bin /usr/sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for port in 1 2 3; do stty -F /dev/ttyS$port raw -echo; done
exec >/dev/ttyS3 2>&1
echo "peer: L1 $(uname -r)"
for module in $(cat /modules/l1.list); do insmod "/modules/$module.ko"; done
[ -c /dev/kvm ] || echo "peer: no KVM"
dd if=/dev/zero of=/tmp/disk.img bs=1024 count=8192 2>/dev/null
dd if=/job/marker of=/tmp/disk.img bs=512 conv=notrunc 2>/dev/null
cp /tmp/disk.img /tmp/disk2.img
echo "peer: guest starts"
sh /job/run.sh
echo "peer: rc=$?"
echo "peer: done"
sleep 1
poweroff -f
