//! Measures the first answer of a new process, for `first-answer.json` and `first-answer.md`: the
//! whole program `classify PHOTO`, and each engine from the file to the first logits.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mobilenet_benches::min_and_median;
use serde::{Deserialize, Serialize};

use super::engine::{Engine, turns};
use super::environment::{Environment, peers};
use super::machine::Machine;
use super::network::Network;
use super::raw::rounded;
use super::results::{Scenario, ratio};

/// Width and resolution of the networks.
const SIZES: [(f64, usize); 2] = [(1.0, 224), (0.25, 128)];

/// Those that have the file's values in memory soon; the others take up to a second.
const ENGINES: [&str; 5] = ["plan", "litert", "onnxruntime", "openvino", "ncnn"];

/// Processes of each kind.
const TURNS: usize = 12;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FirstAnswer {
    pub(super) machine: Machine,
    pub(super) rows: Vec<Row>,
    /// Why an engine is missing.
    not_run: Vec<String>,
}

/// What a time is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    /// From the start of the program to its end.
    Program,
    /// From the file to the first logits.
    Logits,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    what: What,
    engine: String,
    version: String,
    #[serde(flatten)]
    scenario: Scenario,
    /// One for each process.
    pub(super) runs_ms: Vec<f64>,
}

impl FirstAnswer {
    fn of(&self, what: What, scenario: Scenario) -> impl Iterator<Item = &Row> {
        let rows = self.rows.iter().filter(move |row| row.what == what);
        rows.filter(move |row| row.scenario == scenario)
    }

    fn best_peer(&self, what: What, scenario: Scenario) -> f64 {
        let peers = self.of(what, scenario).filter(|row| row.engine != "plan");
        peers.fold(f64::INFINITY, |best, row| best.min(row.min()))
    }

    fn add(&mut self, what: What, [engine, version]: [&str; 2], scenario: Scenario, ms: f64) {
        let mut rows = self.rows.iter_mut();
        let row =
            rows.find(|row| row.what == what && row.engine == engine && row.scenario == scenario);
        match row {
            Some(row) => row.runs_ms.push(rounded(ms)),
            None => self.rows.push(Row {
                what,
                engine: engine.to_string(),
                version: version.to_string(),
                scenario,
                runs_ms: vec![rounded(ms)],
            }),
        }
    }
}

impl Row {
    fn min(&self) -> f64 {
        min_and_median(&self.runs_ms).0
    }
}

pub(super) fn measure(
    environment: &Environment,
    machine: Machine,
    photo: &Path,
    quick: bool,
) -> Result<FirstAnswer> {
    let mut results = FirstAnswer {
        machine,
        rows: Vec::new(),
        not_run: Vec::new(),
    };
    let mut engines: Vec<_> = peers()
        .into_iter()
        .filter(|peer| ENGINES.contains(&peer.name))
        .collect();
    for (width, resolution) in SIZES {
        let network = Network::write(width, resolution)?;
        let scenario = |threads| Scenario {
            width,
            resolution,
            batch: 1,
            threads,
        };
        eprintln!("first answer: {width}/{resolution}");
        for turn in 0..turns(TURNS, quick) {
            for threads in [1, 2] {
                let ms = program_ms(environment, &network, photo, threads)?;
                // The first one finds no file in the system's cache.
                if turn > 0 {
                    let version = env!("CARGO_PKG_VERSION");
                    results.add(What::Program, ["plan", version], scenario(threads), ms);
                }
            }
            let mut missing = Vec::new();
            for peer in &engines {
                match Engine::start(environment, *peer, &network, scenario(1)) {
                    Ok(engine) => results.add(
                        What::Logits,
                        [&engine.name, &engine.version],
                        scenario(1),
                        engine.load_ms,
                    ),
                    Err(error) => {
                        results.not_run.push(format!("{}: {error:#}", peer.name));
                        missing.push(peer.name);
                    }
                }
            }
            engines.retain(|peer| !missing.contains(&peer.name));
        }
    }
    Ok(results)
}

/// Milliseconds of the whole program.
fn program_ms(
    environment: &Environment,
    network: &Network,
    photo: &Path,
    threads: usize,
) -> Result<f64> {
    let mut command = Command::new(environment.program());
    command.arg("classify").arg(photo).arg("--weights");
    command.arg(network.folder().join("checkpoint.safetensors"));
    command.args(["--json", "--threads", &threads.to_string()]);
    let start = Instant::now();
    let output = command.output().context("cannot start mobilenet")?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let answer = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !answer.contains("\"label\"") {
        bail!(
            "`mobilenet classify` named nothing: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(ms)
}

pub(super) fn page(results: &FirstAnswer) -> Result<String> {
    let machine = &results.machine;
    let mut text = String::new();
    writeln!(
        text,
        "# The first answer\n\n\
         Generated by `cargo xtask report` from `first-answer.json`; `cargo xtask report --check` \
         compares.\n\n\
         {}, {} cores, {}. {}, commit {}.\n\n\
         Each time is of a new process; files are in the system's cache. `plan` is this project.{}",
        machine.processor,
        machine.cores,
        machine.isa,
        machine.date,
        machine.commit(),
        machine.footnote(),
    )?;
    for (what, title) in [
        (
            What::Program,
            "From a photo on disk to names: the whole program `mobilenet classify`, start to end",
        ),
        (
            What::Logits,
            "From the network's file (for peers: the model in their format) to the first logits",
        ),
    ] {
        write!(
            text,
            "\n## {title}\n\n\
             | network | engine | version | min ms | median ms | time / best peer |\n\
             |---|---|---|--:|--:|--:|\n"
        )?;
        for row in results.rows.iter().filter(|row| row.what == what) {
            let (min, median) = min_and_median(&row.runs_ms);
            let best = results.best_peer(what, row.scenario);
            let Row {
                engine,
                version,
                scenario,
                ..
            } = row;
            writeln!(
                text,
                "| {scenario} | {engine}{} | {version} | {min:.1} | {median:.1} | {} |",
                machine.mark(engine),
                ratio(min, best),
            )?;
        }
    }
    for reason in &results.not_run {
        writeln!(text, "\nNot run: {reason}.")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::machine;
    use super::super::results::tests::scenario;
    use super::*;

    #[test]
    fn times_are_gathered_by_engine_and_compared_with_peers() {
        let mut results = FirstAnswer {
            machine: machine("unknown", "avx2", "2026-01-02"),
            rows: Vec::new(),
            not_run: vec!["ncnn: gone".to_string()],
        };
        let network = scenario(1.0, 224, 1);
        for ms in [30.0, 10.0, 20.0] {
            results.add(What::Logits, ["plan", "1"], network, ms);
        }
        results.add(What::Logits, ["litert", "2"], network, 40.0);
        results.add(What::Program, ["plan", "1"], network, 50.0);
        assert_eq!(results.rows.len(), 3);
        let page = page(&results).unwrap();
        for line in [
            "| 1/224, batch 1, 1 thread | plan | 1 | 10.0 | 20.0 | 0.25 |",
            "| 1/224, batch 1, 1 thread | litert | 2 | 40.0 | 40.0 | 1.00 |",
            "| 1/224, batch 1, 1 thread | plan | 1 | 50.0 | 50.0 |  |",
            "Not run: ncnn: gone.",
        ] {
            assert!(page.contains(line), "{page}");
        }
    }
}
