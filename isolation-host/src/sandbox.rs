//! What the process gives up before it hears a peer.
//!
//! It keeps the system calls that forwarding takes and nothing else: no file can be opened, no program started,
//! no other process looked at, and none can look at this one's memory, which is the guest's. Of sockets only Unix's can
//! still be connected to, because a device may come back; which ones, the file system's permissions say.

use std::io;

use landlock::{ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use thiserror::Error;

/// The system calls that are left. Every other one ends the process.
const SYSTEM_CALLS: &[libc::c_long] = &[
    // Sockets.
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_socket,
    libc::SYS_socketpair,
    // Waiting, and being notified.
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
    // Memory, shared and own.
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
    // Random state of hash maps, and the end.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
];

/// A system call, and when it is meant: always, or if one of these is true of its arguments.
type Call = (libc::c_long, Vec<SeccompRule>);

/// The system calls that fail instead of ending the process: files, because the C library's allocator asks in one whether
/// it should return memory, whenever it has much to return, and takes no for an answer; and sockets of networks.
fn refused() -> Result<[Call; 2], seccompiler::BackendError> {
    const UNIX: u64 = libc::AF_UNIX.unsigned_abs() as u64;
    let network = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, UNIX)?;
    Ok([(libc::SYS_openat, Vec::new()), (libc::SYS_socket, vec![SeccompRule::new(vec![network])?])])
}

/// The process cannot give up what it should. It runs without only if it is told to.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The kernel does not let it.
    #[error("privileges cannot be given up")]
    Privileges(#[from] io::Error),
    /// Files cannot be given up.
    #[error("files cannot be given up")]
    Files(#[from] landlock::RulesetError),
    /// The filter of system calls cannot be made.
    #[error("the filter of system calls cannot be made for {}", std::env::consts::ARCH)]
    Filter(#[from] seccompiler::BackendError),
    /// The filter of system calls is not taken.
    #[error("the filter of system calls is refused")]
    Install(#[from] seccompiler::Error),
}

/// Gives up all that forwarding does not take, for good.
///
/// # Errors
///
/// [`SandboxError`] if the system refuses. A kernel without Landlock is no error: there is still the filter.
pub fn enter() -> Result<(), SandboxError> {
    // Asked for once and kept: later it would take a system call that is gone by then.
    let _ = rustix::param::page_size();
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)?;
    Ruleset::default().handle_access(AccessFs::from_all(ABI::V5))?.create()?.restrict_self()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .map_err(io::Error::from)?;
    let refused = refused()?;
    let known = SYSTEM_CALLS.iter().copied().chain(refused.iter().map(|(call, _)| *call));
    let known: Vec<Call> = known.map(|call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    // Of several filters the sternest counts. The second one leaves no system call to install another with.
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
