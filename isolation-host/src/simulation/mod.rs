//! A simulation of isolation-host in virtual time.
//!
//! The control plane ([`Control`](crate::control::Control)) and the queues of the data plane run as
//! they do in the process, without a socket, a thread or a clock. A VMM, its guest and devices are
//! simulated around them. Each may be slow, silent or killed at any step, and devices lie. Then all
//! peers behave, and all requests have to complete. The simulation checks:
//!
//! - The guest gets each request back once: none is lost, and none returns twice. What was read is
//!   right, and a request fails only for a reason.
//! - Each message of the VMM is answered in order, within the stated time.
//! - A device that does not read gets a bounded number of messages.
//! - Nothing panics, and the process does not end.
//!
//! One number, the seed, determines all that happens. To run seed 7 and to print each event:
//!
//! ```text
//! SIMULATION_SEED=7 cargo test -p isolation-host --lib simulation::chosen -- --ignored --nocapture
//! ```

mod device;
mod guest;
mod random;
mod vmm;
mod world;

use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use world::World;

/// Simulates one seed.
fn run(seed: u64, trace: bool) {
    let mut world = World::new(seed, trace);
    world.disturb();
    world.settle();
}

/// Simulates these seeds on all processors.
fn run_all(seeds: Range<u64>) {
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            if catch_unwind(|| run(seed, false)).is_err() {
                next.store(end, Ordering::Relaxed);
                panic!("seed {seed} fails; run it with SIMULATION_SEED={seed}");
            }
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let failed = threads.into_iter().filter_map(|thread| thread.join().err()).count();
        assert_eq!(failed, 0, "a seed fails");
    });
}

#[test]
fn ten_thousand_seeds_lose_no_request_and_hold_up_no_vmm() {
    run_all(0..10_000);
}

/// Runs the seeds of `SIMULATION_SEEDS=FROM..TO` instead of the million, if it is set.
#[test]
#[ignore = "takes half an hour; run it with --release"]
fn a_million_seeds_lose_no_request_and_hold_up_no_vmm() {
    let chosen = std::env::var("SIMULATION_SEEDS").ok();
    let range = chosen.as_deref().unwrap_or("0..1000000").split_once("..");
    let range = range.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    run_all(range.expect("SIMULATION_SEEDS is a range, such as 0..1000000"));
}

#[test]
#[ignore = "simulates the seed of SIMULATION_SEED and prints what happens"]
fn chosen() {
    let seed = std::env::var("SIMULATION_SEED").expect("give a seed as SIMULATION_SEED");
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false).init();
    run(seed.parse().expect("SIMULATION_SEED is a number"), true);
}
