#!/bin/busybox sh
# Block hotplug of the Xen peer's dom0, which has one RAM disk and neither udev nor bash: ram0 is 1:0.
case "$1" in
add)
	xenstore-write "$XENBUS_PATH/physical-device" 1:0
	xenstore-write "$XENBUS_PATH/physical-device-path" /dev/ram0
	xenstore-write "$XENBUS_PATH/hotplug-status" connected
	;;
esac
