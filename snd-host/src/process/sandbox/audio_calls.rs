//! The system calls of the audio process.
//!
//! The filter denies a list of calls, because it is unknown what the elements of a user's pipeline
//! need. The calls on the list break out of the sandbox, change the system, or reach parts of the
//! kernel that are known for bugs and not needed for audio. They fail with EPERM, which programs
//! expect: the library of a sound server that cannot start the server continues without it.

use libc as c;
use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::SandboxError;
use super::filter::{Calls, deny, deny_clone3};

/// The calls that are denied on all machines.
const DENIED: &[c::c_long] = &[
    // Start programs, or access other processes.
    c::SYS_execve,
    c::SYS_execveat,
    c::SYS_ptrace,
    c::SYS_process_vm_readv,
    c::SYS_process_vm_writev,
    c::SYS_process_madvise,
    c::SYS_pidfd_getfd,
    c::SYS_kcmp,
    // Change the view of the file system, or bypass landlock.
    c::SYS_mount,
    c::SYS_umount2,
    c::SYS_mount_setattr,
    c::SYS_move_mount,
    c::SYS_open_tree,
    c::SYS_fsopen,
    c::SYS_fsconfig,
    c::SYS_fsmount,
    c::SYS_fspick,
    c::SYS_pivot_root,
    c::SYS_chroot,
    c::SYS_open_by_handle_at,
    c::SYS_name_to_handle_at,
    c::SYS_setns,
    c::SYS_unshare,
    // Change the kernel, or reach parts known for bugs.
    c::SYS_init_module,
    c::SYS_finit_module,
    c::SYS_delete_module,
    c::SYS_kexec_load,
    c::SYS_kexec_file_load,
    c::SYS_bpf,
    c::SYS_perf_event_open,
    c::SYS_userfaultfd,
    // Performs other calls without passing this filter.
    c::SYS_io_uring_setup,
    c::SYS_io_uring_enter,
    c::SYS_io_uring_register,
    // Access the keyrings of the kernel.
    c::SYS_add_key,
    c::SYS_keyctl,
    c::SYS_request_key,
    // Change the whole machine.
    c::SYS_acct,
    c::SYS_adjtimex,
    c::SYS_clock_adjtime,
    c::SYS_clock_settime,
    c::SYS_lookup_dcookie,
    c::SYS_personality,
    c::SYS_quotactl,
    c::SYS_reboot,
    c::SYS_setdomainname,
    c::SYS_sethostname,
    c::SYS_settimeofday,
    c::SYS_swapoff,
    c::SYS_swapon,
    c::SYS_syslog,
    c::SYS_vhangup,
];

/// The calls that are denied on this machine: old ways to start processes and to access hardware.
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[c::c_long] = &[
    c::SYS_fork,
    c::SYS_vfork,
    c::SYS_ioperm,
    c::SYS_iopl,
    c::SYS_modify_ldt,
    c::SYS_uselib,
    c::SYS__sysctl,
];
#[cfg(target_arch = "aarch64")]
const DENIED_HERE: &[c::c_long] = &[];

/// The x32 interface of x86-64: a bit that is set in its call numbers, and the calls that have
/// numbers of their own.
#[cfg(target_arch = "x86_64")]
const X32: Option<(c::c_long, std::ops::RangeInclusive<c::c_long>)> = Some((1 << 30, 512..=547));
#[cfg(target_arch = "aarch64")]
const X32: Option<(c::c_long, std::ops::RangeInclusive<c::c_long>)> = None;

/// Denies the calls to this thread and all threads that it will start, and sets `no_new_privs`.
pub(super) fn restrict() -> Result<(), SandboxError> {
    deny_clone3()?;
    deny(denied()?, c::EPERM)
}

/// Returns the denied calls.
fn denied() -> Result<Calls, SandboxError> {
    let plain = DENIED.iter().chain(DENIED_HERE).copied();
    let x32 = X32.into_iter().flat_map(|(bit, own)| {
        let shared = DENIED.iter().chain(DENIED_HERE).copied().chain([c::SYS_clone, c::SYS_clone3]);
        shared.chain(own).map(move |call| call | bit)
    });
    let mut denied: Calls = plain.chain(x32).map(|call| (call, Vec::new())).collect();
    let (thread, int) = (c::CLONE_THREAD as u64, SeccompCmpArgLen::Dword);
    let no_thread = SeccompCondition::new(0, int.clone(), SeccompCmpOp::MaskedEq(thread), 0)?;
    // TIOCSTI types into a terminal in the name of its user.
    let typing = SeccompCondition::new(1, int, SeccompCmpOp::Eq, c::TIOCSTI)?;
    denied.insert(c::SYS_clone, vec![SeccompRule::new(vec![no_thread])?]);
    denied.insert(c::SYS_ioctl, vec![SeccompRule::new(vec![typing])?]);
    Ok(denied)
}
