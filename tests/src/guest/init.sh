#!/bin/busybox sh
# Process 1 of the guest: load the drivers, run /run.sh, say how it ended, power off.
#
# What starts with "guest: " on the console is the guest's report, which guest/mod.rs reads.

/bin/busybox mkdir -p /proc /sys /dev /tmp /bin /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

echo "guest: kernel $(uname -r)"
while read -r module; do
    insmod "/modules/$module" || echo "guest: module $module does not load"
done </modules/order

# The sound card's nodes come when the driver has asked the device about its streams. A driver
# without a device that it could ask makes none, so this waits for what is on the bus only.
for device in /sys/bus/virtio/devices/*; do
    [ -e "$device" ] || continue
    echo "guest: device $(cat "$device/device") features $(cat "$device/features")"
done

# The limit is for a script that hangs in the guest; the host's deadline is for the guest.
timeout 120 sh /run.sh
echo "guest: exit $?"
poweroff -f
