//! The guest's report of its run: the lines that `init.sh` prints.

/// The guest's report of its run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// The devices on the virtio bus.
    pub devices: Vec<VirtioDevice>,
    /// The output of the script and the kernel, without the lines of the report.
    pub output: Vec<String>,
    /// The exit code of the script, if the script ended.
    pub(super) exit_code: Option<i32>,
}

/// A VIRTIO device as the guest's driver sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtioDevice {
    /// The device type, such as 25 for sound.
    pub id: u32,
    /// The negotiated feature bits.
    pub features: u64,
}

impl VirtioDevice {
    /// The id of a block device, VIRTIO 1.4 §5 "Device Types".
    pub const BLOCK: u32 = 2;
    /// The id of an entropy device.
    pub const ENTROPY: u32 = 4;
    /// The id of a sound device.
    pub const SOUND: u32 = 25;
    /// The id of a file system device.
    pub const FILE_SYSTEM: u32 = 26;

    /// Returns whether the rings are packed: feature bit 34, VIRTIO 1.4 §6 "Reserved Feature Bits".
    #[must_use]
    pub fn ring_packed(self) -> bool {
        self.features & (1 << 34) != 0
    }
}

impl Report {
    /// Returns the sound device if there is exactly one.
    #[must_use]
    pub fn sound(&self) -> Option<VirtioDevice> {
        self.only(VirtioDevice::SOUND)
    }

    /// Returns the device with this id if there is exactly one.
    #[must_use]
    pub fn only(&self, id: u32) -> Option<VirtioDevice> {
        let mut devices = self.devices.iter().filter(|device| device.id == id);
        devices.next().copied().filter(|_| devices.next().is_none())
    }

    /// Reads a line of the console.
    pub(super) fn read(&mut self, line: &str) {
        if self.read_own(line).is_none() {
            self.output.push(line.to_owned());
        }
    }

    /// Reads a line of the report. Returns `None` for any other line.
    fn read_own(&mut self, line: &str) -> Option<()> {
        // The firmware's output may precede the report's first line in the same line.
        let (_, report) = line.split_once("guest: ")?;
        let mut words = report.split_whitespace();
        match words.next()? {
            "kernel" => self.kernel = words.next()?.to_owned(),
            "device" => {
                let id = words.next()?.trim_start_matches("0x");
                let features = words.nth(1)?;
                self.devices.push(VirtioDevice {
                    id: u32::from_str_radix(id, 16).ok()?,
                    features: features_from_sysfs(features)?,
                });
            }
            "exit" => self.exit_code = Some(words.next()?.parse().ok()?),
            _ => return None,
        }
        Some(())
    }
}

/// Parses features as Linux prints them: one character for each bit, bit 0 first.
fn features_from_sysfs(bits: &str) -> Option<u64> {
    let in_order: String = bits.chars().rev().collect();
    u64::from_str_radix(&in_order, 2).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the report that is read from a console with these lines.
    fn report(lines: &[&str]) -> Report {
        let mut report = Report::default();
        lines.iter().for_each(|line| report.read(line));
        report
    }

    /// Returns 64 features as sysfs prints them.
    fn sysfs(features: u64) -> String {
        format!("{features:064b}").chars().rev().collect()
    }

    #[test]
    fn a_console_is_read_into_a_report() {
        let device = format!("guest: device 0x0019 features {}", sysfs(1 << 34 | 1 << 32));
        let report = report(&["\u{1b}[2Jguest: kernel 6.12.0", &device, "Playing WAVE", "guest: exit 3"]);
        assert_eq!(report.kernel, "6.12.0");
        assert_eq!(report.exit_code, Some(3));
        assert_eq!(report.output, ["Playing WAVE"]);
        assert!(report.sound().is_some_and(VirtioDevice::ring_packed));
    }

    #[test]
    fn a_split_device_is_not_packed() {
        let device = format!("guest: device 0x0019 features {}", sysfs(1 << 32));
        assert!(report(&[&device]).sound().is_some_and(|it| !it.ring_packed()));
    }

    #[test]
    fn a_broken_line_is_output() {
        let report = report(&["guest: exit soon", "guest: device 0x19"]);
        assert_eq!(report.exit_code, None);
        assert_eq!(report.output.len(), 2);
    }
}
