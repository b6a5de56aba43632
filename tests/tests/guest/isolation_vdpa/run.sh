# Runs in the guest: isolation-host between a load and vDPA devices of the guest's own kernel.
#
# Each case prints "vdpa: NAME ok"; the first failure ends the script.

fail() {
    echo "vdpa: $case fails: $1"
    for log in /tmp/disk.log /tmp/*.host.log /tmp/load.log; do
        echo "--- $log"
        tail -n 25 $log | cut -c1-220
    done
    dmesg | tail -n 5
    exit 1
}

# Waits until the log of the disk contains a line.
await() {
    until grep -q "$2" "$1" 2>/dev/null; do
        kill -0 $disk 2>/dev/null || fail "the disk ends early"
        usleep 20000
    done
}

# Starts the disk: name, queues, format. A disk that was killed continues.
disk() {
    vduse-disk "$1" /tmp/disk.raw "/tmp/places.$1" "$2" "$3" >>/tmp/disk.log 2>&1 &
    disk=$!
}

# Begins a case with an empty image.
begin() {
    case=$1
    begun=$(cut -d. -f1 /proc/uptime)
    dd if=/dev/zero of=/tmp/disk.raw bs=1M count=8 2>/dev/null
    rm -f /tmp/places.* /tmp/*.log /tmp/disk.pid /tmp/stop /tmp/*.sock.*
}

# Creates the vDPA device of a disk, and sets $device.
add() {
    vdpa dev add name "$1" mgmtdev vduse || fail "cannot add $1"
    device=/dev/$(ls "/sys/bus/vdpa/devices/$1" | grep vhost-vdpa)
}

# Creates the disk and its vDPA device, and sets $device.
create() {
    disk "$1" "$2" "$3"
    await /tmp/disk.log "$1 is ready"
    add "$1"
}

# Starts qemu-storage-daemon with two queues of the type $1 and further options $2. Waits until the
# daemon has written a file, which it does when the queues are set up.
storage_daemon() {
    qemu-storage-daemon --blockdev driver=file,node-name=disk,filename=/tmp/disk.raw \
        --export "type=$1,id=e,node-name=disk,writable=on,num-queues=2,$2" \
        --pidfile /tmp/disk.pid >>/tmp/disk.log 2>&1 &
    disk=$!
    await /tmp/disk.pid .
}

# Starts isolation-host with a device, and further options. Each socket has its own log, $host_log.
host() {
    at=$1
    shift
    vmm=${socket:-/tmp/vmm.sock}
    host_log=${vmm%.sock}.host.log
    isolation-host --vmm "listen:$vmm" --device-socket "$at" --log debug "$@" >>"$host_log" 2>&1 &
    host=$!
}

# Ends isolation-host and removes the device while it is open, as an administrator does.
remove() {
    vdpa dev del "$1" || fail "cannot delete $1"
    wait $host
    grep -q "the vDPA device has been removed" "$host_log" || fail "isolation-host does not notice the removal"
    kill -9 $disk
    wait $disk 2>/dev/null
    return 0
}

ok() {
    echo "vdpa: $case ok in $(($(cut -d. -f1 /proc/uptime) - begun)) s: $(tail -n 1 /tmp/load.log)"
}

# The load on a device with these rings and this number of queues.
forward() {
    begin "$1 rings, $2 queues"
    create "d$1$2" "$2" "$1"
    host "vdpa:$device"
    vhost-load /tmp/vmm.sock "$2" "$3" 300 >/tmp/load.log 2>&1 || fail "the load fails"
    grep -q "queue $(($2 - 1)) has 128 descriptors" /tmp/disk.log || fail "a ring has another size"
    ok
    remove "d$1$2"
}

# The same with qemu-storage-daemon, which ends if it is reset while it has requests. The load has
# none in flight when its queues are stopped.
other_disk() {
    begin "qemu-storage-daemon's disk"
    storage_daemon vduse-blk name=qsd
    add qsd
    host "vdpa:$device"
    vhost-load /tmp/vmm.sock 2 packed 300 >/tmp/load.log 2>&1 || fail "the load fails"
    ok
    remove qsd
}

# Waits until the load has completed 30 more requests.
progress() {
    before=$(cat /tmp/vmm.sock.done 2>/dev/null || echo 0)
    until [ "$(cat /tmp/vmm.sock.done 2>/dev/null || echo 0)" -ge $((before + 30)) ]; do
        kill -0 $load 2>/dev/null || fail "the load ends early"
        usleep 10000
    done
}

# Kills the disk and isolation-host with SIGKILL while the load runs.
kills() {
    begin "kills with $1 rings"
    create "k$1" 2 "$1"
    host "vdpa:$device"
    vhost-load /tmp/vmm.sock 2 "$1" 300 until /tmp/stop >/tmp/load.log 2>&1 &
    load=$!
    for round in 1 2 3 4 5; do
        progress
        kill -9 $disk
        wait $disk 2>/dev/null
        disk "k$1" 2 "$1"
        progress
        kill -9 $host
        wait $host 2>/dev/null
        host "vdpa:$device"
    done
    touch /tmp/stop
    wait $load || fail "the load fails"
    grep -q "5 reconnections" /tmp/load.log || fail "isolation-host was not killed 5 times"
    ok
    remove "k$1"
}

# A disk that does not answer keeps neither the VMM waiting nor its queues from starting again.
stall() {
    begin "a stalled disk"
    create stalled 2 split
    host "vdpa:$device"
    vhost-load /tmp/vmm.sock 2 split 50 pause >/tmp/load.log 2>&1 &
    load=$!
    await_file /tmp/vmm.sock.idle
    kill -STOP $disk
    touch /tmp/vmm.sock.go
    await_file /tmp/vmm.sock.paused
    grep -q "SetStatus\|SET_STATUS" "$host_log" && fail "the device has failed"
    kill -CONT $disk
    wait $load || fail "the load fails"
    ok
    remove stalled
}

# A queue that is started after the others, while these have requests.
late() {
    begin "a late queue"
    create late 2 split
    host "vdpa:$device"
    vhost-load /tmp/vmm.sock 2 packed 50 late >/tmp/load.log 2>&1 &
    load=$!
    await_file /tmp/vmm.sock.idle
    kill -STOP $disk
    touch /tmp/vmm.sock.go
    await_file /tmp/vmm.sock.late
    kill -CONT $disk
    wait $load || fail "the load fails"
    grep -q "queue 1 was started after others" "$host_log" || fail "the queue is not late"
    ok
    remove late
}

# A device that another process has opened, as libvirt passes it.
passed() {
    begin "an open device"
    create open 2 packed
    exec 7<>"$device"
    host fd:7
    vhost-load /tmp/vmm.sock 2 split 300 >/tmp/load.log 2>&1 || fail "the load fails"
    ok
    exec 7>&-
    remove open
}

# A device that does not work any more until it is reset, and says so.
needs_reset() {
    begin "a device that needs a reset"
    create broken 2 packed
    exec 7<>"$device"
    host fd:7
    vhost-load /tmp/vmm.sock 2 split 100 until /tmp/stop >/tmp/load.log 2>&1 &
    load=$!
    progress
    vduse-disk needs-reset <&7 || fail "the status cannot be set"
    progress
    touch /tmp/stop
    wait $load || fail "the load fails"
    grep -q "needs a reset (status 0x4f)" "$host_log" || fail "the device is not reset"
    ok
    exec 7>&-
    remove broken
}

# A guest that moves from a vhost-user disk to a vDPA disk, to another one, and back to the first.
# All disks have the same file, and the guest has rings of this format.
migrate() {
    begin "migration with $1 rings"
    create "a$1" 2 split
    socket=/tmp/a.sock
    host "vdpa:$device"
    first="$host $disk $host_log"
    create "b$1" 2 packed
    socket=/tmp/b.sock
    host "vdpa:$device"
    second="$host $disk $host_log"
    socket=
    storage_daemon vhost-user-blk addr.type=unix,addr.path=/tmp/device.sock
    host connect:/tmp/device.sock --device blk
    vhost-load /tmp/vmm.sock 2 "$1" 150 move /tmp/a.sock /tmp/b.sock /tmp/vmm.sock >/tmp/load.log 2>&1 ||
        fail "the load fails"
    [ "$(grep -c "pages were logged" /tmp/load.log)" = 3 ] || fail "the guest does not migrate 3 times"
    ok
    sed -n "s/^vhost-load: \(.*logged.*\)/vdpa: $case: \1/p" /tmp/load.log
    kill -9 $host $disk
    wait $host $disk 2>/dev/null
    read -r host disk host_log <<EOF
$first
EOF
    remove "a$1"
    read -r host disk host_log <<EOF
$second
EOF
    remove "b$1"
}

# Waits until a file exists. Fails if the load ends first.
await_file() {
    until [ -e "$1" ]; do
        kill -0 $load 2>/dev/null || fail "the load ends early"
        usleep 10000
    done
}

export PATH=/bin:/sbin:/usr/bin:/usr/sbin:/programs
for module in /vdpa/*; do insmod "$module"; done
ifconfig lo up
forward split 1 packed
forward packed 1 split
forward split 4 split
forward packed 4 packed
other_disk
kills split
kills packed
stall
late
passed
needs_reset
migrate split
migrate packed
