#!/bin/busybox sh
# Process 1 of the guest: load the drivers, run /run.sh, report its exit code, power off.
#
# Lines that start with "guest: " are the guest's report, which guest/report.rs reads.

/bin/busybox mkdir -p /proc /sys /dev /tmp /bin /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

echo "guest: kernel $(uname -r)"
while read -r module; do
    insmod "/modules/$module" || echo "guest: module $module does not load"
done </modules/order

# The sound driver creates device nodes only after the device has answered its queries, so the
# report lists the bus instead of the nodes.
for device in /sys/bus/virtio/devices/*; do
    [ -e "$device" ] || continue
    echo "guest: device $(cat "$device/device") features $(cat "$device/features")"
done

# This limit ends a script that hangs. The host's deadline ends a guest that hangs.
limit=120
[ ! -e /limit ] || read -r limit </limit
timeout "$limit" sh /run.sh
echo "guest: exit $?"
poweroff -f
