//! Real-time scheduling of the threads that keep time.
//!
//! The event loop of the card process, the threads of takes in the audio process, and GStreamer's
//! streaming threads run before other threads of the machine, if the administrator of the host
//! allows it with the resource limit RLIMIT_RTPRIO. The threads of takes have the priority because
//! the threads of a sound server's library inherit it from them.
//!
//! A guest can keep the event loop busy. So a privilege such as root's is not enough: the limit has
//! to be set. RTKit is not asked, because RTKit demands a limit on uninterrupted processor time at
//! which the kernel kills the process, so a guest could end snd-host.

use std::{fmt, thread};

use rustix::process::{Resource, getrlimit};
use tracing::debug;

use crate::scheduler::set_round_robin;

/// The highest priority that is used: above ordinary threads, and below the sound servers'.
const PRIORITY: u8 = 10;

/// The real-time priority that the host grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealTime {
    /// Threads may have this priority.
    Granted(u8),
    /// RLIMIT_RTPRIO is 0.
    NotGranted,
    /// RLIMIT_RTPRIO grants a priority, but the kernel refuses it.
    Refused,
}

impl fmt::Display for RealTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted(priority) => write!(f, "the threads that keep time have real-time priority {priority}"),
            Self::NotGranted => f.write_str(
                "no real-time priority, because RLIMIT_RTPRIO is 0; LimitRTPRIO=10 in a unit of systemd, or \
                 rtprio in /etc/security/limits.conf, grants it",
            ),
            Self::Refused => f.write_str(
                "no real-time priority: RLIMIT_RTPRIO grants it, but the kernel refuses it, as in some containers",
            ),
        }
    }
}

impl RealTime {
    /// Finds out what the host grants: tries to set the priority of a thread that ends immediately.
    pub fn obtain() -> Self {
        let limit = getrlimit(Resource::Rtprio).current;
        let limit = limit.map_or(PRIORITY, |limit| u8::try_from(limit).unwrap_or(PRIORITY).min(PRIORITY));
        if limit == 0 {
            return Self::NotGranted;
        }
        let tried = thread::spawn(move || set_round_robin(limit)).join();
        if matches!(tried, Ok(Ok(()))) { Self::Granted(limit) } else { Self::Refused }
    }

    /// Gives this thread the priority, and all threads that it starts.
    pub fn enter(self) {
        if let Self::Granted(priority) = self
            && let Err(error) = set_round_robin(priority)
        {
            debug!("a thread gets no real-time priority: {error}");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use super::*;

    /// Returns the scheduling policy of this thread, as sched(7) numbers the policies.
    pub(crate) fn policy() -> u32 {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The name ends with the last parenthesis; the policy is field 41, and field 3 follows it.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(41 - 3).unwrap().parse().unwrap()
    }

    #[test]
    fn a_thread_gets_a_priority_only_if_it_is_granted() {
        for (realtime, expected) in [(RealTime::NotGranted, 0), (RealTime::Refused, 0)] {
            realtime.enter();
            assert_eq!(policy(), expected);
        }
        let allowed = thread::spawn(|| set_round_robin(5).is_ok()).join().unwrap();
        let entered = thread::spawn(|| {
            RealTime::Granted(5).enter();
            policy()
        });
        assert_eq!(entered.join().unwrap(), if allowed { 2 } else { 0 });
    }
}
