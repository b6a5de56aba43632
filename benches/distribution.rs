//! The distribution of the times of single requests, which a mean hides.

use criterion::Criterion;
use rivals::Group;
use rivals::contenders::CONTENDERS;
use rivals::program::PERCENTILES;
use serde_json::json;

use crate::compare::supports;
use crate::measure::write;
use crate::programs::Running;

/// The number of requests in each round.
const REQUESTS: u32 = 100_000;
/// The number of rounds, in which all implementations take turns. The median of the rounds is kept.
const ROUNDS: usize = 5;

/// Times single round trips of all implementations, one by one.
///
/// Criterion measures means, so Criterion is only used to find out whether the group was selected.
pub(crate) fn of_single_requests(criterion: &mut Criterion) {
    let mut is_wanted = false;
    criterion.bench_function("latency/clock", |bencher| {
        is_wanted = true;
        bencher.iter(std::time::Instant::now);
    });
    if !is_wanted {
        return;
    }
    for &case in Group::Latency.cases() {
        let label = Group::Latency.label(case);
        let name = format!("{}/{label}", Group::Latency.name());
        let contenders: Vec<_> =
            CONTENDERS.iter().filter(|it| it.is_main() && supports(it.program, &name)).collect();
        let mut rounds: Vec<Vec<Vec<f64>>> = vec![Vec::new(); contenders.len()];
        let mut running: Vec<Running> = contenders
            .iter()
            .map(|it| Running::start(it.program, &name).unwrap_or_else(|error| panic!("{name}: {error}")))
            .collect();
        for _ in 0..ROUNDS {
            for (running, rounds) in running.iter_mut().zip(&mut rounds) {
                let answer = running.ask(&format!("latency {REQUESTS}")).unwrap_or_default();
                rounds.push(answer.split(' ').filter_map(|time| time.parse().ok()).collect());
            }
        }
        for (contender, rounds) in contenders.iter().zip(&rounds) {
            let nanoseconds: Vec<f64> =
                (0..PERCENTILES.len()).map(|position| median(rounds, position)).collect();
            println!("{name}/{}: {nanoseconds:?} ns at {PERCENTILES:?} ‰", contender.name);
            let record = json!({
                "case": label,
                "implementation": contender.name,
                "tenths_of_a_percent": PERCENTILES,
                "nanoseconds": nanoseconds,
            });
            write("distributions", &format!("{}.json", contender.program), &record.to_string());
        }
    }
}

/// Returns the median of the rounds at one of the percentiles.
fn median(rounds: &[Vec<f64>], position: usize) -> f64 {
    let mut times: Vec<f64> = rounds.iter().filter_map(|round| round.get(position).copied()).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
