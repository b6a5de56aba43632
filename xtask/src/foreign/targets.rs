//! The processors that this machine does not have.

/// A processor that this machine does not have.
#[derive(Debug)]
pub(super) struct Target {
    /// The name of the processor in the table of results.
    pub(super) name: &'static str,
    /// rustc's name of the target.
    pub(super) triple: &'static str,
    /// Debian's name of the directory with the C library.
    pub(super) gnu: &'static str,
    /// QEMU's name of the processor.
    pub(super) qemu: &'static str,
    /// Whether pointers have 64 bits. rust-vmm's crates are for these processors only.
    pub(super) is_64_bit: bool,
    /// Whether the reduced form also runs the suites over bursts: on a processor with weakly
    /// ordered memory, and on a big-endian processor with words of 32 bits.
    pub(super) reduced_bursts: bool,
    /// What the processor tests that x86-64 does not.
    pub(super) why: &'static str,
}

/// All processors.
pub(super) const TARGETS: [Target; 5] = [
    Target {
        name: "aarch64",
        triple: "aarch64-unknown-linux-gnu",
        gnu: "aarch64-linux-gnu",
        qemu: "aarch64",
        is_64_bit: true,
        reduced_bursts: true,
        why: "weakly ordered, load-acquire and store-release",
    },
    Target {
        name: "riscv64",
        triple: "riscv64gc-unknown-linux-gnu",
        gnu: "riscv64-linux-gnu",
        qemu: "riscv64",
        is_64_bit: true,
        reduced_bursts: false,
        why: "weakly ordered, fences",
    },
    Target {
        name: "s390x",
        triple: "s390x-unknown-linux-gnu",
        gnu: "s390x-linux-gnu",
        qemu: "s390x",
        is_64_bit: true,
        reduced_bursts: false,
        why: "big-endian",
    },
    Target {
        name: "powerpc",
        triple: "powerpc-unknown-linux-gnu",
        gnu: "powerpc-linux-gnu",
        qemu: "ppc",
        is_64_bit: false,
        reduced_bursts: true,
        why: "big-endian, 32 bits, no 64-bit atomics",
    },
    Target {
        name: "i686",
        triple: "i686-unknown-linux-gnu",
        gnu: "i686-linux-gnu",
        qemu: "i386",
        is_64_bit: false,
        reduced_bursts: false,
        why: "32 bits, words of 64 bits aligned to 4 bytes",
    },
];
