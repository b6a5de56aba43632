//! Playback in virtual time: guests, sinks and a busy host, for hours in seconds.
//!
//! The simulation runs the code that decides: the playback of a take with its pacer, the buffer,
//! the timeline, and what a sink is fed. It replaces the code that acts: the queue, the event loop,
//! the thread that plays, and GStreamer. The ring is the one that both processes use. Each
//! millisecond the simulation checks what has to hold at any time.
//!
//! ```text
//! Guest ──▶ queue ──▶ Playback ──▶ Output ──▶ PlaybackBuffer ──▶ Timeline ──▶ Sink
//!   ▲                   │ Pacer     │                                          │
//!   └───────────────────┘◀──────────┘◀─────────────── heard ◀──────────────────┘
//! ```
//!
//! `PROPTEST_CASES` sets the number of seeds.

mod guest;
mod output;
mod sink;
mod world;

use proptest::prelude::*;

use self::guest::Guest;
use self::sink::{Fault, Plan};
use self::world::{Scenario, run};

/// The virtual time of a seed, in milliseconds.
const LENGTH: u64 = 40_000;

fn guests() -> impl Strategy<Value = Guest> {
    let sizes = prop_oneof![
        // aplay, dmix, PulseAudio, and mmap with tiny periods.
        Just((80, 4)),
        Just((800, 5)),
        Just((4_000, 4)),
        Just((16, 16)),
        (8u32..2_000, 2u32..20),
    ];
    let bursts = prop_oneof![
        // Always full; some messages and then nothing for long; irregular.
        Just((u32::MAX, 0)),
        (1u32..6, 8_000u64..20_000),
        (1u32..40, 0u64..3_000),
    ];
    let stops = prop::option::of((500u64..10_000, 1u64..3_000));
    (sizes, bursts, 0u64..30, stops).prop_map(|((period, periods), (burst, silence), delay, stops)| Guest {
        period,
        periods,
        burst,
        silence,
        delay,
        stops,
    })
}

fn sinks() -> impl Strategy<Value = Plan> {
    let opens = prop_oneof![Just(0), 0u64..400, 0u64..30_000, Just(u64::MAX)];
    let plays = prop_oneof![Just(0), 0u64..300, 0u64..4_000];
    let fault = prop_oneof![
        (0..LENGTH, 1u64..15_000).prop_map(|(at, ms)| Fault { at, ms, gone: false }),
        (0..LENGTH, 1u64..15_000).prop_map(|(at, ms)| Fault { at, ms, gone: true }),
    ];
    let faults = prop::collection::vec(fault, 0..3);
    (opens, plays, -100i32..=100, faults).prop_map(|(opens, plays, drift, faults)| Plan {
        opens,
        plays,
        drift,
        faults,
    })
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    let hold_up = prop_oneof![1u64..60, 1u64..1_000, 1u64..60_000];
    let hold_ups = prop::collection::vec((0..LENGTH, hold_up), 0..3);
    (guests(), sinks(), hold_ups, 10u64..=500, 0u64..4).prop_map(
        |(guest, sink, hold_ups, latency, jitter)| Scenario { guest, sink, hold_ups, latency, jitter },
    )
}

/// A guest whose buffer is no larger than the latency has only one period for the sink at a time.
#[test]
fn a_stream_of_100_periods_a_second_takes_a_bounded_number_of_wakes() {
    let sink = Plan { opens: 0, plays: 0, drift: 3, faults: Vec::new() };
    for periods in [4, 8, 16, 50] {
        let guest = Guest { period: 80, periods, burst: u32::MAX, silence: 0, delay: 1, stops: None };
        for latency in [40, 200] {
            let scenario = Scenario { guest, sink: sink.clone(), hold_ups: Vec::new(), latency, jitter: 0 };
            let cost = run(&scenario, 10_000);
            let limit = if periods == 4 { 3_100 } else { 2_500 };
            assert!(
                cost.wakes + cost.feeds + cost.pieces <= limit,
                "{periods} periods, {latency} ms: {cost:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn playback_keeps_time_whatever_guest_sink_and_host_do(scenario in scenarios()) {
        run(&scenario, LENGTH);
    }
}
