//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum as _};
use rustix::process::RawPid;

use crate::area::policy::{Policy, Scrub, Zero};
use crate::device_link::LinkType;
use crate::device_type::DeviceType;
use crate::endpoint::Endpoint;
use crate::host::Options;
use crate::limits::MAX_QUEUES;
use crate::log_format::LogFormat;
use crate::metrics::ReportSocket;
use crate::negotiation::RingChoice;

/// What `--version` prints. `-V` prints the number only.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("HOST_COMMIT"),
    "\nfeatures: ",
    env!("HOST_FEATURES")
);

/// Lets a vhost-user device serve a virtual machine without access to guest memory.
///
/// isolation-host is a proxy between a VMM and a vhost-user device, and transparent to both. The
/// device gets memory of its own, and requests and data are copied between this memory and the
/// guest's.
#[derive(Debug, Parser)]
#[command(version, long_version = LONG_VERSION, after_help = EXAMPLE)]
#[command(override_usage = "isolation-host [--vmm ENDPOINT] --device-socket ENDPOINT [OPTIONS]")]
pub struct Args {
    /// The connection to the VMM: listen:PATH, connect:PATH or fd:NUMBER.
    ///
    /// Use listen:PATH for QEMU, which connects (`-chardev socket,path=PATH`). NUMBER is an
    /// inherited file descriptor of a listening or connected socket. Without --vmm, --socket-path
    /// and --fd, isolation-host listens on the socket that systemd passes.
    #[arg(long, value_name = "ENDPOINT", group = "vmm_side")]
    vmm: Option<Endpoint>,

    /// The same as --vmm listen:PATH.
    #[arg(long, value_name = "PATH", group = "vmm_side")]
    socket_path: Option<PathBuf>,

    /// The same as --vmm fd:NUMBER.
    #[arg(long, value_name = "NUMBER", group = "vmm_side")]
    fd: Option<RawPid>,

    /// The connection to the device: connect:PATH, listen:PATH, fd:NUMBER or vdpa:PATH.
    ///
    /// PATH after vdpa: is a vDPA device of the kernel, /dev/vhost-vdpa-N. NUMBER may also be an
    /// open vDPA device.
    #[arg(long, value_name = "ENDPOINT", required_unless_present = "print_capabilities")]
    device_socket: Option<Endpoint>,

    /// Print the capabilities of this back-end as JSON, and exit.
    #[arg(long)]
    print_capabilities: bool,

    /// The type of the device: blk, net, fs (without DAX), snd or generic. A vDPA device reports
    /// its type.
    ///
    /// Use generic for any other device whose buffers carry all its data.
    ///
    /// The type determines what happens when the device crashes: with blk and net, unfinished
    /// requests are submitted to the next device that connects; with other types, the VMM is
    /// disconnected. The type also determines which requests have to finish before a queue is
    /// stopped.
    #[arg(long, value_parser = device_type, default_value = "generic")]
    device: DeviceType,

    /// The size of the isolated memory, such as 64M or 1G. The default is 64M.
    ///
    /// Each queue gets an equal share. Memory that is never used is not allocated. isolation-host
    /// itself uses additional memory to record the requests in flight: up to 2 MiB for each queue,
    /// 1 KiB for each descriptor of its ring, and a tenth of the isolated memory.
    ///
    /// For a vDPA device the memory is locked, and the default is 16M for each queue, at most 64M.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    area_size: Option<u64>,

    /// The largest number of queues to offer to the VMM.
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_QUEUES)))]
    queues: u16,

    /// The ring format on the device's side. The guest chooses its own format independently.
    #[arg(long, value_enum, default_value_t)]
    ring: RingChoice,

    /// The longest time that a message of the VMM waits for replies of the device, in milliseconds.
    ///
    /// After this time isolation-host answers the VMM without the device's reply, and the device
    /// catches up. A device that owes replies and sends none for ten seconds is disconnected. Two
    /// waits have other limits: --drain-timeout for requests in flight, and five minutes for the
    /// check of a migrated state.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(..=10_000))]
    device_wait_ms: u64,

    /// How long to wait for requests in flight when a queue is stopped, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=86_400))]
    drain_timeout: u64,

    /// The number of threads that move requests. The queues are distributed over the threads.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,

    /// The longest time that a thread polls before it sleeps, in microseconds.
    ///
    /// The time adapts to the load: a thread polls only if notifications arrive in quick
    /// succession. Set a value only if there are idle processors.
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1000))]
    poll_us: u64,

    /// When to zero what the device has read: auto, always or never.
    ///
    /// The device maps the isolated memory, and so can read the data of a request until the data is
    /// zeroed. auto: within a tenth of a second after the guest has the request back. always:
    /// before the guest has the request back. never: when the memory is used for something else, or
    /// the queue is stopped.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, hide_possible_values = true)]
    scrub: Scrub,

    /// When to zero memory that the device is going to write: always or auto.
    ///
    /// always: for each request, so that a device that claims more than it wrote returns zeros.
    /// auto: if the memory may hold data of the guest. A device that claims more than it wrote may
    /// then return what a device has written for an earlier request of the same queue.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, hide_possible_values = true)]
    zero: Zero,

    /// Keep all privileges, for debugging.
    ///
    /// Without this option the process drops its access to files, its capabilities, and all system
    /// calls that forwarding does not need.
    #[arg(long)]
    pub no_sandbox: bool,

    /// Where operators read state and counters as JSON: unix:PATH.
    ///
    /// Each connection to the socket gets one JSON object. The permissions of the socket decide
    /// which users can connect.
    #[arg(long, value_name = "SOCKET")]
    control: Option<ReportSocket>,

    /// Where Prometheus reads the counters: unix:PATH.
    ///
    /// The socket answers HTTP requests with Prometheus' text format.
    #[arg(long, value_name = "SOCKET")]
    metrics: Option<ReportSocket>,

    /// The format of the log on standard error.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// The least severe messages to log: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: tracing::Level,
}

/// The size of the isolated memory, unless the operator chooses one.
const DEFAULT_AREA: u64 = 64 << 20;

const EXAMPLE: &str = "\
Example: a disk of qemu-storage-daemon in a guest of QEMU

  qemu-storage-daemon --blockdev driver=file,node-name=disk,filename=disk.raw \\
    --export type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=unix,addr.path=device.sock
  isolation-host --vmm listen:vmm.sock --device-socket connect:device.sock --device blk
  qemu-system-x86_64 -machine q35,memory-backend=mem -object memory-backend-memfd,id=mem,size=1G,share=on -m 1G \\
    -chardev socket,id=c,path=vmm.sock -device vhost-user-blk-pci,chardev=c …";

/// The task of the process.
#[derive(Clone, Debug)]
pub enum Task {
    /// Print this text and exit.
    Print(String),
    /// Forward with these options.
    Forward(Options),
}

impl Args {
    /// Returns the task of the process.
    #[must_use]
    pub fn into_task(self) -> Task {
        match self.device_socket {
            Some(device) if !self.print_capabilities => Task::Forward(Options {
                vmm: match (self.vmm, self.socket_path, self.fd) {
                    (Some(vmm), ..) => vmm,
                    (None, Some(path), _) => Endpoint::Listen(path),
                    (None, None, Some(number)) => Endpoint::Fd(number),
                    (None, None, None) => Endpoint::Activated,
                },
                device,
                device_type: self.device,
                link: LinkType::default(),
                area_size: self.area_size.unwrap_or(DEFAULT_AREA),
                area_chosen: self.area_size.is_some(),
                queues: self.queues,
                ring: self.ring,
                policy: Policy { scrub: self.scrub, zero: self.zero },
                device_wait: Duration::from_millis(self.device_wait_ms),
                drain_timeout: Duration::from_secs(self.drain_timeout),
                threads: self.threads.into(),
                max_poll: Duration::from_micros(self.poll_us),
                control: self.control,
                metrics: self.metrics,
            }),
            _ => Task::Print(capabilities(self.device)),
        }
    }
}

/// Returns the capabilities as one JSON object, in the form of QEMU's conventions for vhost-user
/// back-ends. The conventions do not list the types `sound` and `generic`.
fn capabilities(device: DeviceType) -> String {
    let name = match device {
        DeviceType::Blk => "block",
        DeviceType::Net => "net",
        DeviceType::Fs => "fs",
        DeviceType::Snd => "sound",
        DeviceType::Generic => "generic",
    };
    format!("{{\n  \"type\": \"{name}\"\n}}")
}

/// Device types whose requests carry guest addresses in their data.
const WITH_ADDRESSES: [&str; 8] = ["balloon", "gpu", "iommu", "mem", "memory", "pmem", "rdma", "video"];

/// Parses a device type that can be isolated.
fn device_type(text: &str) -> Result<DeviceType, String> {
    if WITH_ADDRESSES.contains(&text) {
        return Err(format!(
            "a {text} device cannot be isolated: its requests carry guest addresses, which only a device with \
             access to guest memory can use"
        ));
    }
    DeviceType::from_str(text, false).map_err(|_| "use blk, net, fs, snd or generic".to_owned())
}

/// Parses a number of bytes, optionally with K, M or G.
fn size(text: &str) -> Result<u64, String> {
    let invalid = || "use a number, optionally followed by K, M or G".to_owned();
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let shift = match text.get(digits.len()..) {
        Some("") => 0,
        Some("K") => 10,
        Some("M") => 20,
        Some("G") => 30,
        _ => return Err(invalid()),
    };
    let number: u64 = digits.parse().map_err(|_| invalid())?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| (1 << 20..=1 << 40).contains(bytes));
    bytes.ok_or_else(|| "use a size from 1M to 1024G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    /// Parses these options.
    fn task(options: &[&str]) -> Result<Task, clap::Error> {
        let words = ["isolation-host"].iter().chain(options);
        Args::try_parse_from(words).map(Args::into_task)
    }

    #[test]
    fn the_vmms_endpoint_has_four_options_that_exclude_each_other() {
        let vmm = |options: &[&str]| match task(&[options, &["--device-socket", "connect:/d"]].concat()) {
            Ok(Task::Forward(options)) => Some(options.vmm.to_string()),
            _ => None,
        };
        assert_eq!(vmm(&["--vmm", "connect:/v"]).as_deref(), Some("connect:/v"));
        assert_eq!(vmm(&["--socket-path", "/v"]).as_deref(), Some("listen:/v"));
        assert_eq!(vmm(&["--fd", "3"]).as_deref(), Some("fd:3"));
        assert_eq!(vmm(&[]).as_deref(), Some("systemd's socket"));
        assert_eq!(vmm(&["--fd", "3", "--socket-path", "/v"]), None);
    }

    #[test]
    fn the_version_names_the_commit_and_the_features() {
        let text = Args::command().render_long_version();
        let rest = text.strip_prefix(concat!("isolation-host ", env!("CARGO_PKG_VERSION"), "\n")).unwrap();
        assert!(rest.starts_with("commit: ") && rest.contains("\nfeatures: "), "{text}");
    }

    #[test]
    fn capabilities_are_printed_without_a_device() {
        let Ok(Task::Print(printed)) = task(&["--print-capabilities", "--device", "blk"]) else {
            panic!("nothing is printed");
        };
        assert!(printed.contains("\"type\": \"block\""), "{printed}");
        assert!(task(&[]).is_err());
    }

    #[test]
    fn a_device_type_that_cannot_be_isolated_is_refused_with_the_reason() {
        assert_eq!(device_type("blk"), Ok(DeviceType::Blk));
        for name in WITH_ADDRESSES {
            assert!(device_type(name).is_err_and(|reason| reason.contains("cannot be isolated")), "{name}");
        }
        for device in DeviceType::value_variants() {
            let name = device.to_possible_value().unwrap();
            assert!(device_type("disk").is_err_and(|reason| reason.contains(name.get_name())), "{device:?}");
        }
    }

    #[test]
    fn a_number_out_of_range_is_refused() {
        let wrong: [&[&str]; 6] = [
            &["--queues", "0"],
            &["--queues", "257"],
            &["--threads", "0"],
            &["--poll-us", "1001"],
            &["--device-wait-ms", "10001"],
            // A deadline this far ahead would overflow.
            &["--drain-timeout", "18446744073709551615"],
        ];
        for options in wrong {
            let error = task(&[options, &["--device-socket", "connect:/d"]].concat()).unwrap_err();
            assert!(error.to_string().contains(" is not in "), "{error}");
        }
    }

    #[test]
    fn a_size_has_an_optional_unit_and_limits() {
        assert_eq!(size("64M"), Ok(64 << 20));
        assert_eq!(size("2G"), Ok(2 << 30));
        assert_eq!(size("1048576"), Ok(1 << 20));
        for wrong in ["", "M", "64MM", "64X", "-1M", "1K", "99999999999999999999G", "2000G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
