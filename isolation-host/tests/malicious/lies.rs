//! The lies of a malicious device about a running queue and on its connection.

use isolation_host::protocol::payload::VringState;
use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use ring_core::memory::Memory as _;

use crate::support::device::TestDevice;

/// What a device does after it has taken the request of queue 0.
pub(crate) type Lie = (String, Box<dyn Fn(&TestDevice)>);

fn lie(name: impl Into<String>, act: impl Fn(&TestDevice) + 'static) -> Lie {
    (name.into(), Box::new(act))
}

fn is_packed(device: &TestDevice) -> bool {
    device.asked & Features::RING_PACKED.bits() != 0
}

fn write(device: &TestDevice, address: u64, bytes: &[u8]) {
    device.memory[0].write_bytes(address, bytes).unwrap();
}

/// Puts a used descriptor with these flags into a slot of the packed ring.
fn put_descriptor(device: &TestDevice, slot: u64, id: u16, len: u32, flags: u16) {
    let at = device.vrings[&0].areas.descriptor + 16 * slot + 8;
    write(device, at, &[&len.to_le_bytes()[..], &id.to_le_bytes(), &flags.to_le_bytes()].concat());
}

/// Puts a used element into a slot. In a split ring, also sets the used index to the next slot.
fn put(device: &TestDevice, slot: u16, id: u32, len: u32) {
    let areas = device.vrings[&0].areas;
    if is_packed(device) {
        let id = u16::try_from(id & 0xffff).unwrap();
        return put_descriptor(device, u64::from(slot), id, len, 0x8080);
    }
    let at = areas.device + 4 + 8 * u64::from(slot);
    write(device, at, &[id.to_le_bytes(), len.to_le_bytes()].concat());
    write(device, areas.device + 2, &(slot + 1).to_le_bytes());
}

/// Ids, lengths, indices and flags that are wrong.
pub(crate) fn about_used_buffers() -> Vec<Lie> {
    let mut lies = Vec::new();
    for id in [1, 2, 3, 14, 15, 16, 17, 255, 0x7fff, 0x8000, 0xffff, 0x1_0000, u32::MAX] {
        lies.push(lie(format!("uses id {id:#x}"), move |device| put(device, 0, id, 8)));
    }
    for len in [0, 1, 8, 9, 4096, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
        lies.push(lie(format!("claims to have written {len:#x}"), move |device| put(device, 0, 0, len)));
    }
    for slot in [1, 2, 15] {
        lies.push(lie(format!("uses its request in slot {slot}"), move |device| put(device, slot, 0, 8)));
    }
    lies.push(lie("uses its request twice", |device| (0..2).for_each(|slot| put(device, slot, 0, 8))));
    lies.push(lie("uses its request in all slots", |device| {
        (0..16).for_each(|slot| put(device, slot, 0, 8))
    }));
    for index in [2u16, 3, 15, 16, 17, 18, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff] {
        lies.push(lie(format!("sets its index to {index:#x}"), move |device| {
            write(device, device.vrings[&0].areas.device + 2, &index.to_le_bytes());
        }));
    }
    lies
}

/// Flags of used descriptors in a packed ring.
pub(crate) fn about_flags() -> Vec<Lie> {
    let mut lies = Vec::new();
    // AVAIL is bit 7 and USED bit 15; NEXT, WRITE and INDIRECT are bits 0 to 2.
    for turn in [0, 0x80, 0x8000, 0x8080] {
        for flags in [0, 1, 2, 4, 7, 0x7f78] {
            let flags = turn | flags;
            lies.push(lie(format!("has flags {flags:#x}"), move |device| {
                put_descriptor(device, 0, 0, 8, flags);
            }));
        }
    }
    lies
}

/// Notifications, and the areas that ask for them.
pub(crate) fn about_notifications() -> Vec<Lie> {
    let mut lies = Vec::new();
    for bytes in [[0; 4], [1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0], [0, 0x80, 2, 0], [0xff; 4]] {
        lies.push(lie(format!("writes {bytes:x?} to its event area"), move |device| {
            let areas = device.vrings[&0].areas;
            // A split ring has flags at the beginning, and the event index behind the elements.
            let event = areas.device + 4 + 8 * u64::from(device.vrings[&0].size);
            let at = if is_packed(device) { areas.device } else { event };
            write(device, at, &bytes);
        }));
        lies.push(lie(format!("writes {bytes:x?} to the driver's area"), move |device| {
            write(device, device.vrings[&0].areas.driver, &bytes);
        }));
    }
    for count in [64, 5000] {
        lies.push(lie(format!("notifies {count} times"), move |device| {
            (0..count).for_each(|_| device.call(0));
        }));
    }
    lies
}

/// The 12 bytes of a message's header, with version 1 in the flags.
fn header(request: u32, flags: u32, size: u32) -> Vec<u8> {
    [request, flags, size].map(u32::to_le_bytes).concat()
}

fn send(device: &TestDevice, bytes: &[u8]) {
    let _ = rustix::io::write(&device.channel, bytes);
}

/// Messages that isolation-host does not wait for, with headers of every kind.
pub(crate) fn about_messages() -> Vec<Lie> {
    let mut lies = Vec::new();
    for request in [0, 1, 3, 11, 24, 46, 99, u32::MAX] {
        lies.push(lie(format!("sends message {request} unasked"), move |device| {
            send(device, &header(request, 1 | 1 << 2, 0));
        }));
    }
    for flags in [0, 2, 3, 1, 5, 9, u32::MAX] {
        lies.push(lie(format!("sends flags {flags:#x}"), move |device| {
            send(device, &[header(1, flags, 8), vec![0; 8]].concat());
        }));
    }
    for size in [1, 4096, 4097, 0x8000_0000, u32::MAX] {
        lies.push(lie(format!("announces {size:#x} bytes and sends 4"), move |device| {
            send(device, &[header(1, 5, size), vec![0; 4]].concat());
        }));
    }
    for count in [1, 8, 9, 32] {
        lies.push(lie(format!("sends {count} files"), move |device| {
            let message = Message::request(Request::SetOwner, &VringState::default());
            let files = (0..count).map(|_| device.files[0].try_clone().unwrap());
            device.send(&files.fold(message, Message::with_fd));
        }));
    }
    lies
}

/// The connection ends in the middle of a message.
pub(crate) fn about_the_end() -> Vec<Lie> {
    (1..12)
        .map(|len| {
            lie(format!("sends {len} bytes of a header"), move |device| send(device, &header(1, 5, 8)[..len]))
        })
        .collect()
}
