//! The privileges that the process drops before it reads from a peer.
//!
//! The process keeps only the system calls that forwarding needs. It can open no file, map no code,
//! start no program and inspect no other process; and no other process can inspect its memory,
//! which includes the guest's. It can still connect to Unix sockets with a path, as far as file
//! permissions allow, because a device may have to be reconnected.

use std::io;

use landlock::{ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, Scope};
use rustix::ioctl::Opcode;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use thiserror::Error;

use crate::mmap::vhost_call::OPCODES;

/// The allowed system calls. Every other one kills the process.
const SYSTEM_CALLS: &[libc::c_long] = &[
    // Sockets.
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    libc::SYS_socket,
    libc::SYS_socketpair,
    // Waiting and notifications.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_write,
    libc::SYS_writev,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    // Memory.
    libc::SYS_brk,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_futex,
    libc::SYS_madvise,
    libc::SYS_memfd_create,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_sched_yield,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_newfstatat,
    // The random state of hash maps, and the end of threads and of the process.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
];

/// A system call, with rules for its arguments. Without rules, every call matches.
type Call = (libc::c_long, Vec<SeccompRule>);

/// Returns the system calls that fail instead of killing the process.
///
/// - `openat`: glibc's allocator reads `/proc/sys/vm/overcommit_memory` before it returns memory to
///   the system, and copes with a failure.
/// - `socket` for anything but Unix sockets.
/// - `mmap` and `mprotect` for executable memory.
fn refused() -> Result<[Call; 4], seccompiler::BackendError> {
    const UNIX: u64 = libc::AF_UNIX.unsigned_abs() as u64;
    let network = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, UNIX)?;
    const CODE: u64 = libc::PROT_EXEC.unsigned_abs() as u64;
    let code = SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(CODE), CODE)?;
    let code = vec![SeccompRule::new(vec![code])?];
    Ok([
        (libc::SYS_openat, Vec::new()),
        (libc::SYS_socket, vec![SeccompRule::new(vec![network])?]),
        (libc::SYS_mmap, code.clone()),
        (libc::SYS_mprotect, code),
    ])
}

/// The process cannot enter the sandbox. `--no-sandbox` starts the process without it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The kernel does not let the process drop its capabilities or become undumpable.
    #[error("cannot drop privileges; use --no-sandbox to keep them")]
    Privileges(#[from] io::Error),
    /// Landlock refuses the rules for files.
    #[error("cannot drop access to files; use --no-sandbox to keep it")]
    Files(#[from] landlock::RulesetError),
    /// The system-call filter cannot be compiled for this processor.
    #[error("cannot make a system-call filter for {}; use --no-sandbox to skip it", std::env::consts::ARCH)]
    Filter(#[from] seccompiler::BackendError),
    /// The kernel refuses the system-call filter.
    #[error("cannot install the system-call filter; use --no-sandbox to skip it")]
    Install(#[from] seccompiler::Error),
}

/// Enters the sandbox, which the calling thread cannot leave.
///
/// # Errors
///
/// [`SandboxError`] if the system refuses. A kernel without Landlock is not an error, because the
/// system-call filter also keeps the thread from opening files.
pub fn enter() -> Result<(), SandboxError> {
    enter_with(Vec::new())
}

/// Enters a sandbox in which the requests of vDPA devices are allowed, too.
///
/// # Errors
///
/// As for [`enter`].
pub fn enter_with_vdpa() -> Result<(), SandboxError> {
    let request = |opcode: Opcode| {
        SeccompRule::new(vec![SeccompCondition::new(
            1,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            opcode.into(),
        )?])
    };
    let requests: Result<Vec<SeccompRule>, _> = OPCODES.into_iter().map(request).collect();
    enter_with(vec![(libc::SYS_ioctl, requests?)])
}

fn enter_with(further: Vec<Call>) -> Result<(), SandboxError> {
    // rustix caches the page size. Reading it later would need a system call that is forbidden.
    let _ = rustix::param::page_size();
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)?;
    let files = Ruleset::default().handle_access(AccessFs::from_all(ABI::V5))?;
    // Abstract sockets and signals. A kernel that does not know these scopes ignores them.
    files.scope(Scope::from_all(ABI::V6))?.create()?.restrict_self()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .map_err(io::Error::from)?;
    let refused = refused()?;
    let known = SYSTEM_CALLS.iter().copied().chain(refused.iter().map(|(call, _)| *call));
    let known: Vec<Call> = known.map(|call| (call, Vec::new())).chain(further).collect();
    let refuse = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    // If several filters are installed, the strictest result applies. The second filter comes last,
    // because it forbids the system call that installs filters.
    for (calls, unmatched, matched) in [
        (refused.to_vec(), SeccompAction::Allow, refuse),
        (known, SeccompAction::KillProcess, SeccompAction::Allow),
    ] {
        let arch = TargetArch::try_from(std::env::consts::ARCH)?;
        let filter = SeccompFilter::new(calls.into_iter().collect(), unmatched, matched, arch)?;
        seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_at_most_fifty_system_calls() {
        // A vDPA device adds `ioctl`.
        assert!(SYSTEM_CALLS.len() < 50, "{}", SYSTEM_CALLS.len());
    }

    #[test]
    fn no_allowed_call_starts_a_thread_or_a_program_or_reaches_a_process() {
        let calls = [
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_kill,
            libc::SYS_pidfd_getfd,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_send_signal,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_ptrace,
            libc::SYS_tkill,
        ];
        assert_eq!(calls.iter().find(|call| SYSTEM_CALLS.contains(call)), None);
        #[cfg(target_arch = "x86_64")]
        assert!(![libc::SYS_fork, libc::SYS_vfork].iter().any(|call| SYSTEM_CALLS.contains(call)));
    }
}
