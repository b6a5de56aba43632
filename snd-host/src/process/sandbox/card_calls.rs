//! The system calls of the card process.
//!
//! The filter allows a list of calls, and refuses all others with EPERM. No call on the list opens
//! a file, makes a network connection or starts a program: the card process uses the files that it
//! has, and those that the front-end passes to it.

use libc as c;
use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::SandboxError;
use super::filter::{Calls, allow_only, deny_clone3};

/// The calls that are allowed whatever their arguments are, except those that `limited` names.
pub(super) const ALLOWED: &[c::c_long] = &[
    // Queues, eventfds, and sockets that are open.
    c::SYS_read,
    c::SYS_readv,
    c::SYS_write,
    c::SYS_writev,
    c::SYS_recvmsg,
    c::SYS_recvfrom,
    c::SYS_sendmsg,
    c::SYS_sendto,
    c::SYS_accept4,
    c::SYS_shutdown,
    c::SYS_close,
    c::SYS_eventfd2,
    c::SYS_timerfd_create,
    c::SYS_timerfd_settime,
    c::SYS_ppoll,
    c::SYS_epoll_create1,
    c::SYS_epoll_ctl,
    c::SYS_epoll_pwait,
    // Memory: the guest's, takes', and the process's own.
    c::SYS_memfd_create,
    c::SYS_ftruncate,
    c::SYS_fstat,
    c::SYS_statx,
    c::SYS_lseek,
    c::SYS_munmap,
    c::SYS_mremap,
    c::SYS_madvise,
    c::SYS_brk,
    // Threads and time.
    c::SYS_futex,
    c::SYS_set_robust_list,
    c::SYS_rseq,
    c::SYS_sched_yield,
    c::SYS_gettid,
    c::SYS_getpid,
    c::SYS_clock_gettime,
    c::SYS_clock_nanosleep,
    c::SYS_getrandom,
    c::SYS_exit,
    c::SYS_exit_group,
    // Signals to this process.
    c::SYS_rt_sigaction,
    c::SYS_rt_sigprocmask,
    c::SYS_rt_sigreturn,
    c::SYS_sigaltstack,
    c::SYS_restart_syscall,
    // Removes its own socket; landlock allows that in one directory, and no other change of files.
    c::SYS_unlinkat,
];

/// The calls that exist on this machine only.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[c::c_long] = &[c::SYS_poll, c::SYS_epoll_wait, c::SYS_unlink];
#[cfg(target_arch = "aarch64")]
const ALLOWED_HERE: &[c::c_long] = &[];

/// Allows the calls to this thread and all threads that it will start, and no others. Sets
/// `no_new_privs`.
pub(super) fn restrict() -> Result<(), SandboxError> {
    deny_clone3()?;
    allow_only(allowed()?)
}

/// Returns the allowed calls.
fn allowed() -> Result<Calls, SandboxError> {
    let always = ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, Vec::new()));
    let mut allowed: Calls = always.collect();
    allowed.extend(limited()?);
    // Allowed here, so that the other filter decides.
    allowed.insert(c::SYS_clone3, Vec::new());
    Ok(allowed)
}

/// Returns the calls that are allowed with some values of an argument only.
fn limited() -> Result<Calls, SandboxError> {
    let int = SeccompCmpArgLen::Dword;
    let has = |argument, bits: c::c_int| {
        let bits = u64::from(bits.unsigned_abs());
        SeccompCondition::new(argument, int.clone(), SeccompCmpOp::MaskedEq(bits), bits)
    };
    let lacks = |argument, bits: c::c_int| {
        let bits = u64::from(bits.unsigned_abs());
        SeccompCondition::new(argument, int.clone(), SeccompCmpOp::MaskedEq(bits), 0)
    };
    let is = |argument, value: c::c_int| {
        SeccompCondition::new(argument, int.clone(), SeccompCmpOp::Eq, u64::from(value.unsigned_abs()))
    };
    let rule = |condition| SeccompRule::new(vec![condition]);
    let of =
        |conditions: Vec<SeccompCondition>| conditions.into_iter().map(rule).collect::<Result<Vec<_>, _>>();
    let fcntl =
        [c::F_GETFD, c::F_SETFD, c::F_GETFL, c::F_SETFL, c::F_DUPFD_CLOEXEC, c::F_ADD_SEALS, c::F_GET_SEALS];
    let fcntl = fcntl.map(|command| is(1, command)).into_iter().collect::<Result<_, _>>()?;
    Ok(Calls::from([
        // Threads, and no processes.
        (c::SYS_clone, of(vec![has(0, c::CLONE_THREAD)?])?),
        // Memory is never executable.
        (c::SYS_mmap, of(vec![lacks(2, c::PROT_EXEC)?])?),
        (c::SYS_mprotect, of(vec![lacks(2, c::PROT_EXEC)?])?),
        (c::SYS_fcntl, of(fcntl)?),
        (c::SYS_ioctl, of(vec![is(1, FIONBIO)?])?),
        // The channel to an audio process.
        (c::SYS_socketpair, of(vec![is(0, c::AF_UNIX)?])?),
        (c::SYS_prctl, of(vec![is(0, c::PR_SET_NAME)?])?),
        // This thread only. Another process of the user could be starved.
        (c::SYS_sched_getaffinity, of(vec![is(0, 0)?])?),
        (c::SYS_sched_setscheduler, of(vec![is(0, 0)?])?),
        // Limits of this process. A limit on processor time could end another process.
        (c::SYS_prlimit64, of(vec![is(0, 0)?])?),
    ]))
}

/// Makes a file wait or not, which `TcpStream::set_nonblocking` and others use.
const FIONBIO: c::c_int = 0x5421;
