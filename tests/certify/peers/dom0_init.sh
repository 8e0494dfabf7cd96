#!/bin/busybox sh
# dom0 of the Xen peer: brings the toolstack up, runs the one guest of /job, says on COM2 how it ended, powers off.
# /job/settings sets: disk_kib, net, echo, viridian (a mask or nothing).
/bin/busybox mkdir -p /usr/bin /usr/sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts pts /dev/pts
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>&1
echo "peer: dom0 $(uname -r)"
. /job/settings
for module in $(cat /modules/dom0.list); do
	case $module in
	brd) insmod /modules/brd.ko rd_nr=1 rd_size="$disk_kib" ;;
	*) insmod "/modules/$module.ko" ;;
	esac
done
mount -t xenfs xenfs /proc/xen
mkdir -p /var/lock /run/lock /run/xen /run/xenstored /var/lib/xen /var/lib/xenstored /var/log/xen/console
ln -s /run /var/run
export PATH="$PATH:$(cat /etc/xen-bin)"
xenstored
for try in 1 2 3 4 5 6 7 8 9 10; do
	xenstore-write /tool "" 2>/dev/null && break
	sleep 1
done
xen-init-dom0
xenconsoled --log=all --timestamp=none
echo "peer: tools are up"
xl info

if [ "$net" = 1 ]; then
	ip link add br0 type bridge
	ip link set br0 up
fi
dd if=/job/marker of=/dev/ram0 bs=512 conv=notrunc 2>/dev/null

# $1: the name of a configuration in /job. Leaves in $xl the process that waits for its end.
start_guest()
{
	before=" $(pidof xl) "
	xl create -p "/job/$1.cfg" || { echo "peer: cannot create $1"; return 1; }
	for xl in $(pidof xl); do
		case "$before" in *" $xl "*) ;; *) break ;; esac
	done
	id=$(xl domid "$1")
	[ -z "$viridian" ] || set-viridian "$id" "$viridian"
	echo "peer: domain $1=$id"
	xl unpause "$id"
}

if [ "$echo" = 1 ]; then
	start_guest echo
	sleep 5
fi
if start_guest certify; then
	while kill -0 "$xl" 2>/dev/null; do sleep 2; done
	cat /var/log/xen/xl-certify.log
fi
for log in /var/log/xen/qemu-dm-*.log; do
	[ ! -f "$log" ] || cat "$log"
done
for log in /var/log/xen/console/*certify.log; do
	[ -f "$log" ] || continue
	echo "peer: console begins"
	cat "$log"
	echo "peer: console ends"
done
[ "$echo" != 1 ] || xl destroy echo
echo "peer: done"
sync
sleep 1
poweroff -f
