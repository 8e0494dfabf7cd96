#!/bin/busybox sh
# Network hotplug of the Xen peer's dom0: the new interface joins the one bridge.
case "$1" in
online | add)
	ip link set "$vif" master br0
	ip link set "$vif" up
	xenstore-write "$XENBUS_PATH/hotplug-status" connected
	;;
esac
