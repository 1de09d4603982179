//! Measures runs with pauses between them, on an idle machine and with one core taken by a loop, for
//! `busy.json` and `busy.md`.

use std::fmt::Write as _;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::engine::{Engine, Load, in_turn, turns};
use super::environment::{Environment, peers};
use super::machine::Machine;
use super::network::Network;
use super::raw::rounded;
use super::results::{Scenario, ratio};

/// Width and resolution of the networks.
const SIZES: [(f64, usize); 2] = [(1.0, 224), (0.25, 128)];

const ENGINES: [&str; 3] = ["plan", "onnxruntime", "litert"];

/// Before each run. Long enough for threads to fall asleep.
const PAUSE_MS: u64 = 3;

/// Turns per engine, and runs per turn.
const TURNS: usize = 9;
const RUNS: usize = 25;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Busy {
    pub(super) machine: Machine,
    pub(super) rows: Vec<Row>,
    /// Why an engine is missing.
    not_run: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    engine: String,
    version: String,
    #[serde(flatten)]
    scenario: Scenario,
    /// Cores that loops of another process take.
    cores_taken: usize,
    pub(super) runs_ms: Vec<f64>,
}

impl Row {
    fn mean(&self) -> f64 {
        self.runs_ms.iter().sum::<f64>() / self.runs_ms.len() as f64
    }

    /// The time that nine of ten runs do not exceed.
    fn percentile_90(&self) -> f64 {
        let mut sorted = self.runs_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() * 9).div_ceil(10).saturating_sub(1);
        sorted.get(at).copied().unwrap_or(f64::NAN)
    }
}

impl Busy {
    /// Our mean by the better peer's on one network with as many threads; none if it was not measured.
    pub(super) fn ratio(&self, scenario: Scenario, cores_taken: usize) -> Option<f64> {
        let mut rows = self.of(scenario, cores_taken);
        let ours = rows.find(|row| row.engine == "plan")?.mean();
        let better = self.better_peer(scenario, cores_taken);
        better.is_finite().then(|| ours / better)
    }

    fn of(&self, scenario: Scenario, cores_taken: usize) -> impl Iterator<Item = &Row> {
        let is_here = move |row: &&Row| row.scenario == scenario && row.cores_taken == cores_taken;
        self.rows.iter().filter(is_here)
    }

    /// The least mean of a peer.
    fn better_peer(&self, scenario: Scenario, cores_taken: usize) -> f64 {
        let rows = self.of(scenario, cores_taken);
        let peers = rows.filter(|row| row.engine != "plan");
        peers.map(Row::mean).fold(f64::INFINITY, f64::min)
    }
}

pub(super) fn measure(environment: &Environment, machine: Machine, quick: bool) -> Result<Busy> {
    let mut busy = Busy {
        machine,
        rows: Vec::new(),
        not_run: Vec::new(),
    };
    for (width, resolution) in SIZES {
        let network = Network::write(width, resolution)?;
        for threads in [1, 2] {
            let scenario = Scenario {
                width,
                resolution,
                batch: 1,
                threads,
            };
            eprintln!("with pauses: {scenario}");
            let mut engines = Vec::new();
            for peer in peers()
                .into_iter()
                .filter(|peer| ENGINES.contains(&peer.name))
            {
                match Engine::start(environment, peer, &network, scenario) {
                    Ok(engine) => engines.push(engine),
                    Err(error) => busy
                        .not_run
                        .push(format!("{}, {scenario}: {error:#}", peer.name)),
                }
            }
            let rows = take_turns(environment, &mut engines, scenario, turns(TURNS, quick))?;
            busy.rows.extend(rows);
        }
    }
    Ok(busy)
}

/// All engines in each turn first on the idle machine, then with one core taken.
fn take_turns(
    environment: &Environment,
    engines: &mut [Engine],
    scenario: Scenario,
    count: usize,
) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for cores_taken in [0, 1] {
        rows.extend(engines.iter().map(|engine| Row {
            engine: engine.name.clone(),
            version: engine.version.clone(),
            scenario,
            cores_taken,
            runs_ms: Vec::new(),
        }));
    }
    for _ in 0..count {
        for cores_taken in [0, 1] {
            let load = match cores_taken {
                0 => None,
                _ => Some(Load::start(environment)?),
            };
            in_turn(engines, 1, |engine| {
                let times = engine.paused_runs(RUNS, PAUSE_MS)?;
                let mut rows = rows.iter_mut();
                let row =
                    rows.find(|row| row.engine == engine.name && row.cores_taken == cores_taken);
                if let Some(row) = row {
                    row.runs_ms.extend(times.into_iter().map(rounded));
                }
                Ok(())
            })?;
            drop(load);
        }
        engines.rotate_left(1.min(engines.len()));
    }
    for row in &rows {
        let (engine, taken) = (&row.engine, row.cores_taken);
        eprintln!("  {engine}, {taken} cores taken: mean {:.2} ms", row.mean());
    }
    Ok(rows)
}

pub(super) fn page(busy: &Busy) -> Result<String> {
    let machine = &busy.machine;
    let mut text = String::new();
    writeln!(
        text,
        "# Pauses, and a busy machine\n\n\
         Generated by `cargo xtask report` from `busy.json`; `cargo xtask report --check` compares.\n\n\
         {}, {} cores, {}. {}, commit {}.\n\n\
         Each run begins after a pause of {PAUSE_MS} ms, as in programs that decode a photo or wait \
         for a camera between two runs, so that threads may have fallen asleep. Engines take turns, \
         in each first on the idle machine, then beside an endless loop of another process, which \
         takes one core. `plan` is this project. 90 %: nine of ten runs take no longer. The ratio is \
         that of means, to the better peer with as many threads.{}",
        machine.processor,
        machine.cores,
        machine.isa,
        machine.date,
        machine.commit(),
        machine.footnote(),
    )?;
    write!(
        text,
        "\n| network | cores taken | engine | version | mean ms | 90 % ms | mean / better peer |\n\
         |---|--:|---|---|--:|--:|--:|\n"
    )?;
    for row in &busy.rows {
        let Row {
            engine,
            version,
            scenario,
            cores_taken,
            ..
        } = row;
        let better = busy.better_peer(*scenario, *cores_taken);
        writeln!(
            text,
            "| {scenario} | {cores_taken} | {engine}{} | {version} | {:.2} | {:.2} | {} |",
            machine.mark(engine),
            row.mean(),
            row.percentile_90(),
            ratio(row.mean(), better),
        )?;
    }
    for reason in &busy.not_run {
        writeln!(text, "\nNot run: {reason}.")?;
    }
    Ok(text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::machine::tests::machine;
    use super::super::results::tests::scenario;
    use super::*;

    const NETWORK: Scenario = scenario(0.25, 128, 1);

    pub(crate) fn busy() -> Busy {
        let row = |engine: &str, cores_taken, runs_ms| Row {
            engine: engine.to_string(),
            version: "1".to_string(),
            scenario: NETWORK,
            cores_taken,
            runs_ms,
        };
        Busy {
            machine: machine("AMD, family 25, model 1", "avx2", "2026-01-02"),
            rows: vec![
                row("plan", 0, vec![1.0; 4]),
                row("litert", 0, vec![2.0; 4]),
                row("plan", 1, (1..=20).map(f64::from).collect()),
                row("litert", 1, vec![7.0]),
                row("onnxruntime", 1, vec![30.0, 10.0]),
            ],
            not_run: Vec::new(),
        }
    }

    #[test]
    fn means_and_percentiles_are_compared_within_a_condition() {
        let busy = busy();
        assert_eq!(busy.ratio(NETWORK, 0), Some(0.5));
        assert_eq!(busy.ratio(NETWORK, 1), Some(1.5));
        assert_eq!(busy.ratio(scenario(1.0, 224, 1), 1), None);
        assert_eq!(busy.rows[2].percentile_90(), 18.0);
        assert_eq!(busy.rows[4].percentile_90(), 30.0);
        let page = page(&busy).unwrap();
        let row = "| 0.25/128, batch 1, 1 thread | 1 | plan | 1 | 10.50 | 18.00 | 1.50 |";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("2026-01-02, commit not stored"));
    }
}
