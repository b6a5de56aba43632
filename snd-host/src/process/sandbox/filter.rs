//! Filters of system calls, which a thread and all threads that it starts keep (seccomp).

use std::collections::BTreeMap;

use libc as c;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, apply_filter};

use super::SandboxError;

/// Calls, with the rules for their arguments. A call without rules matches whatever its
/// arguments are.
pub(super) type Calls = BTreeMap<i64, Vec<SeccompRule>>;

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// Makes `calls` fail with `errno`. Sets `no_new_privs`.
pub(super) fn deny(calls: Calls, errno: c::c_int) -> Result<(), SandboxError> {
    install(calls, SeccompAction::Allow, SeccompAction::Errno(errno.unsigned_abs()))
}

/// Makes all calls but `calls` fail with EPERM. Sets `no_new_privs`.
pub(super) fn allow_only(calls: Calls) -> Result<(), SandboxError> {
    install(calls, SeccompAction::Errno(c::EPERM.unsigned_abs()), SeccompAction::Allow)
}

/// Makes `clone3` fail with ENOSYS, so that the C library uses `clone`. A filter can read the flags
/// of `clone`, which are in a register, but not those of `clone3`, which are in memory.
pub(super) fn deny_clone3() -> Result<(), SandboxError> {
    deny(Calls::from([(c::SYS_clone3, Vec::new())]), c::ENOSYS)
}

fn install(calls: Calls, mismatch: SeccompAction, matching: SeccompAction) -> Result<(), SandboxError> {
    let filter = SeccompFilter::new(calls, mismatch, matching, ARCH)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(apply_filter(&program)?)
}
