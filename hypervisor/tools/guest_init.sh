#!/bin/sh
# /init of Janus' test guests: tries disk, network and clock of the face that it finds, and reports.
#
# Each report is a line `JANUS: key=value` on the console; the last is `JANUS: result=pass` or `fail`.
# It is steered by words of the kernel command line:
#
#   janus.disk=none|rw|ro|write|verify   rw: check what is there, then write, flush, drop, read back
#   janus.disksum=MD5      what the first janus.diskmib MiB must have (rw, ro, verify)
#   janus.diskseed=N       which pattern to write (write, rw: default 7) or to expect (verify)
#   janus.diskmib=N        how many MiB (default 2)
#   janus.dev=NAME         the disk (default: the first one of the face)
#   janus.net=none|on  janus.ip=A.B.C.D/LEN  janus.peer=A.B.C.D
#   janus.bench=none|disk|ping|pong   what make bench measures: by /bin/io, which only its initramfs has
#   janus.mode=report|stress|idle|dmesg  janus.seconds=N   what to do before the end
#   janus.end=poweroff|reboot|panic|hang|shell
#   janus.wait=N           seconds to wait for a peer or a device (default 120)
#
# A pattern N is the lines N000001, N000002, ...: no two sectors are equal, and the host can compute
# its sum (mkguest.py has the same function).

PATH=/bin:/sbin
export PATH
disk=none disksum= diskseed=7 diskmib=2 dev= net=none ip= peer= bench=none mode=report
seconds=20 end=poweroff wait=120 result=pass

say() {
	echo "JANUS: $1"
}

# say_result KEY pass|fail DETAIL: a failure of any part is a failure of the whole.
say_result() {
	say "$1=$2${3:+ $3}"
	[ "$2" = pass ] || result=fail
}

start() {
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs devtmpfs /dev 2>/dev/null
	mount -t tmpfs tmpfs /tmp
	for word in $(cat /proc/cmdline); do
		case $word in
		janus.disk=*) disk=${word#*=} ;;
		janus.disksum=*) disksum=${word#*=} ;;
		janus.diskseed=*) diskseed=${word#*=} ;;
		janus.diskmib=*) diskmib=${word#*=} ;;
		janus.dev=*) dev=${word#*=} ;;
		janus.net=*) net=${word#*=} ;;
		janus.ip=*) ip=${word#*=} ;;
		janus.peer=*) peer=${word#*=} ;;
		janus.bench=*) bench=${word#*=} ;;
		janus.mode=*) mode=${word#*=} ;;
		janus.seconds=*) seconds=${word#*=} ;;
		janus.end=*) end=${word#*=} ;;
		janus.wait=*) wait=${word#*=} ;;
		esac
	done
}

# Milliseconds since the start.
uptime_ms() {
	read -r up _ </proc/uptime
	echo $((${up%.*} * 1000 + 1${up#*.} * 10 - 1000))
}

load_modules() {
	face=none
	dmesg | grep -q 'Hypervisor detected: Microsoft' && face=hyperv
	[ "$(cat /sys/hypervisor/type 2>/dev/null)" = xen ] && face=xen
	say "face=$(dmesg | sed -n 's/.*Hypervisor detected: //p' | head -n 1)"
	[ -f /modules/$face.list ] || return
	for module in $(cat /modules/$face.list); do
		insmod /modules/$module.ko || say "module=fail $module"
	done
}

# driver_of PATH: the driver of the nearest device above PATH that sits on a paravirtual bus.
driver_of() {
	at=$(readlink -f "$1")
	while [ "$at" != /sys ] && [ "$at" != / ]; do
		case $(readlink "$at/subsystem") in
		*/vmbus | */xen | */virtio)
			basename "$(readlink "$at/driver")"
			return
			;;
		esac
		at=$(dirname "$at")
	done
	echo none
}

pattern() {
	seq "$1"000001 "$1"999999 | head -c "$(($2 << 20))"
}

sum_of() {
	md5sum | cut -d ' ' -f 1
}

# disk_sum SKIP: the sum of diskmib MiB at SKIP MiB, from the device and not from a cache.
disk_sum() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	blockdev --flushbufs /dev/$dev
	dd if=/dev/$dev bs=64k skip=$(($1 << 4)) count=$((diskmib << 4)) 2>/dev/null | sum_of
}

# disk_write SEED SKIP: writes a pattern and flushes it. Gives the sum of what was to be written.
disk_write() {
	pattern $1 $diskmib >/tmp/pattern
	dd if=/tmp/pattern of=/dev/$dev bs=64k seek=$(($2 << 4)) conv=fsync,notrunc 2>/tmp/dd ||
		return 1
	sum_of </tmp/pattern
	rm /tmp/pattern
}

# Waits for the disk that the face should bring.
find_disk() {
	left=$((wait * 2))
	while [ $left -gt 0 ]; do
		for d in ${dev:-/sys/block/xvd* /sys/block/sd* /sys/block/vd*}; do
			d=${d##*/}
			if [ -b /dev/$d ]; then
				dev=$d
				return 0
			fi
		done
		sleep 0.5
		left=$((left - 1))
	done
	return 1
}

# disk_expect WANT SKIP WHAT: compares, and reports a difference.
disk_expect() {
	got=$(disk_sum $2)
	[ "$got" = "$1" ] && return 0
	say_result disk fail "$3: sum $got, not $1"
	return 1
}

test_disk() {
	if ! find_disk; then
		say "disk_driver=none"
		say_result disk fail "no disk came up"
		return
	fi
	say "disk_driver=$(driver_of /sys/block/$dev/device)"
	say "disk_bytes=$(blockdev --getsize64 /dev/$dev)"
	say "disk_ro=$(cat /sys/block/$dev/ro)"
	if [ $disk = verify ] && [ -z "$disksum" ]; then
		disksum=$(pattern $diskseed $diskmib | sum_of)
	fi
	if [ -n "$disksum" ] && [ $disk != write ]; then
		disk_expect $disksum 0 "what was there" || return
	fi
	case $disk in
	rw) skip=$diskmib ;;
	write) skip=0 ;;
	*)
		say_result disk pass "read $disksum"
		return
		;;
	esac
	if ! want=$(disk_write $diskseed $skip); then
		say_result disk fail "write: $(tail -n 1 /tmp/dd)"
		return
	fi
	disk_expect $want $skip "read back" || return
	say_result disk pass "wrote $want"
}

find_nic() {
	left=$((wait * 2))
	while [ $left -gt 0 ]; do
		for path in /sys/class/net/*; do
			if [ -e $path/device ]; then
				nic=${path##*/}
				return 0
			fi
		done
		sleep 0.5
		left=$((left - 1))
	done
	return 1
}

# Serves 1 MiB of a pattern by our address, and takes the word that the peer has fetched it.
serve() {
	mkdir -p /tmp/www/cgi-bin
	seed=${ip%/*}
	pattern ${seed##*.} 1 >/tmp/www/data
	printf '#!/bin/sh\n: >/tmp/peer-done\nprintf "Content-type: text/plain\\r\\n\\r\\nok\\n"\n' \
		>/tmp/www/cgi-bin/done
	chmod 755 /tmp/www/cgi-bin/done
	httpd -p 80 -h /tmp/www
}

# try SECONDS COMMAND...: repeats it until it succeeds.
try() {
	deadline=$(($(uptime_ms) + $1 * 1000))
	shift
	until "$@"; do
		[ $(uptime_ms) -lt $deadline ] || return 1
		sleep 0.5
	done
}

ping_once() {
	ping -c 1 -W 1 $peer >/dev/null 2>&1
}

fetch_data() {
	timeout 30 wget -q -O /tmp/fetched http://$peer/data 2>/dev/null
}

# Tells the peer that we have all, and waits until it has told us, so that no one leaves early.
part_from_peer() {
	timeout 10 wget -q -O /dev/null http://$peer/cgi-bin/done 2>/dev/null
	try $wait [ -e /tmp/peer-done ] || say "net_peer=never fetched its data"
}

raise_nic() {
	find_nic || return 1
	ip link set lo up
	ip link set $nic up
	ip addr add $ip dev $nic
}

test_net() {
	if ! raise_nic; then
		say "net_driver=none"
		say_result ping fail "no network card came up"
		say_result net fail "no network card came up"
		return
	fi
	say "net_driver=$(driver_of /sys/class/net/$nic/device)"
	say "net_mac=$(cat /sys/class/net/$nic/address)"
	serve
	if ! try $wait ping_once; then
		say_result ping fail "no answer from $peer"
		say_result net fail "no answer from $peer"
		return
	fi
	got=$(ping -s 1400 -c 3 -i 0.2 -W 5 $peer | sed -n 's/.*transmitted, \([0-9]*\) .*received.*/\1/p')
	[ "$got" = 3 ] && say_result ping pass "3 of 3" || say_result ping fail "${got:-0} of 3"
	want=$(pattern ${peer##*.} 1 | sum_of)
	: >/tmp/fetched
	try $wait fetch_data
	got=$(sum_of </tmp/fetched)
	if [ "$got" = "$want" ]; then
		say_result net pass "$got"
	else
		say_result net fail "sum $got of $(stat -c %s /tmp/fetched) bytes, not $want"
	fi
	part_from_peer
}

# Prints its figures itself. The peer of a ping must be there, so that no address is asked for in a sample.
measure() {
	case $bench in
	disk)
		find_disk && say "bench_scheduler=$(cat /sys/block/$dev/queue/scheduler)" && io disk /dev/$dev
		;;
	pong) raise_nic && io pong ;;
	ping) raise_nic && try $wait ping_once && sleep 1 && io ping $peer && io bulk $peer ;;
	esac && say_result measured pass || say_result measured fail "$bench"
}

test_clock() {
	cs=/sys/devices/system/clocksource/clocksource0
	say "clock=$(cat $cs/current_clocksource)"
	say "clocks=$(cat $cs/available_clocksource)"
	before=$(uptime_ms)
	sleep 1
	took=$(($(uptime_ms) - before))
	if [ $took -ge 950 ] && [ $took -le 4000 ]; then
		say_result sleep pass "$took ms"
	else
		say_result sleep fail "$took ms"
	fi
}

# Writes and reads back for some seconds, a round a line, so that a stop or an error shows.
stress() {
	find_disk || say_result stress fail "no disk came up"
	until=$(($(uptime_ms) + seconds * 1000))
	round=0
	while [ $result = pass ] && [ $(uptime_ms) -lt $until ]; do
		round=$((round + 1))
		if want=$(disk_write $((round % 9 + 1)) 0) && [ "$(disk_sum 0)" = "$want" ]; then
			say "round=$round $want"
		else
			say_result stress fail "round $round"
		fi
	done
	[ $result = pass ] && say_result stress pass "$round rounds"
}

finish() {
	say "uptime_ms=$(uptime_ms)"
	say "result=$result"
	say "end=$end"
	sleep 0.2
	case $end in
	poweroff) poweroff -f ;;
	reboot) reboot -f ;;
	panic) echo 1 >/proc/sys/kernel/sysrq && echo c >/proc/sysrq-trigger ;;
	shell)
		echo "Janus guest: type 'exit' to power it off."
		setsid cttyhack sh
		poweroff -f
		;;
	esac
	while :; do
		sleep 3600
	done
}

start
say "kernel=$(uname -r)"
load_modules
say "vcpus=$(grep -c ^processor /proc/cpuinfo)"
[ $disk = none ] || test_disk
[ $net = none ] || test_net
[ $bench = none ] || measure
test_clock
case $mode in
stress) stress ;;
idle) sleep $seconds ;;
dmesg) dmesg ;;
esac
finish
