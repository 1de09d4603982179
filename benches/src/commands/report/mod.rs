//! `report`: measures our engines and others on the same folded network. First it checks that the
//! engines agree, then it measures them in turn.
//!
//! ```text
//! network      random weights -> our checkpoint, and the folded network for the others
//! environment  a virtual environment for each Python peer; tract and rten built
//! engine       one process per engine, all alive at once; a turn is several runs
//! results      docs/benchmarks/results.json
//! integers     networks of 8-bit integers -> docs/benchmarks/integers.{json,md}
//! training     our training step and PyTorch's -> docs/benchmarks/training.{json,md}
//! markdown, plots   -> docs/benchmarks/*.md, *.svg       (--redraw and --check do only this)
//! ```

mod engine;
mod environment;
mod integers;
mod markdown;
mod network;
pub(super) mod plots;
mod results;
mod training;

use std::path::Path;

use anyhow::{Context, Result, bail};
use mobilenet_benches::relative_difference;
use mobilenet_cli::line;

use self::engine::Engine;
use self::environment::{Environment, peers};
use self::integers::Integers;
use self::network::Network;
use self::results::{Machine, Measurement, NotRun, Results, Scenario};
use self::training::Training;
use super::docs::root;
use xtask::{Report, ReportPart};

/// Width and resolution of the networks.
const SIZES: [(f64, usize); 4] = [(1.0, 224), (0.75, 192), (0.5, 160), (0.25, 128)];

/// Turns per engine, and measured runs per turn. Each turn begins with one more run, which is not
/// measured and brings the engine's weights back into the caches.
const TURNS: usize = 12;
const RUNS: usize = 6;

/// An engine whose run takes longer than this has one measured run per turn.
const SLOW_MS: f64 = 60.0;

/// Largest difference from our logits, relative to the largest of them.
const TOLERANCE: f32 = 1e-4;

pub(crate) fn run(arguments: &Report) -> Result<()> {
    let folder = root().join("docs/benchmarks");
    let stored = folder.join("results.json");
    if !arguments.check && !arguments.redraw {
        std::fs::create_dir_all(&folder)?;
        let environment = Environment::new(&root())?;
        let wanted = |part| arguments.part.is_none_or(|chosen| chosen == part);
        if wanted(ReportPart::Inference) {
            let results = measure(&environment)?;
            std::fs::write(&stored, serde_json::to_string_pretty(&results)? + "\n")?;
        }
        if wanted(ReportPart::Training) {
            training::store(&folder, &training::measure(&environment)?)?;
        }
        if wanted(ReportPart::Integers) {
            integers::store(&folder, &integers::measure(&environment)?)?;
        }
    }
    let text = std::fs::read_to_string(&stored)
        .with_context(|| format!("cannot read {}", stored.display()))?;
    let results = serde_json::from_str(&text)?;
    write(
        &folder,
        &results,
        &training::stored(&folder)?,
        integers::stored(&folder)?.as_ref(),
        arguments.check,
    )
}

/// Writes tables and plots, or with `check` compares them with the files.
fn write(
    folder: &Path,
    results: &Results,
    training: &Training,
    integers: Option<&Integers>,
    check: bool,
) -> Result<()> {
    let mut files = vec![
        ("README.md".to_string(), markdown::page(results)?),
        ("training.md".to_string(), training::page(training)?),
    ];
    if let Some(integers) = integers {
        files.push(("integers.md".to_string(), integers::page(integers)?));
    }
    files.extend(plots::all(results));
    let mut stale = Vec::new();
    for (name, text) in files {
        let path = folder.join(&name);
        if std::fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        if check {
            stale.push(name);
        } else {
            std::fs::write(&path, text)?;
            line(format!("written: docs/benchmarks/{name}"))?;
        }
    }
    if !stale.is_empty() {
        bail!(
            "not up to date with the stored results: {}; run `cargo xtask report --redraw`",
            stale.join(", ")
        );
    }
    Ok(())
}

fn measure(environment: &Environment) -> Result<Results> {
    let mut results = Results::new(Machine::here()?);
    for (width, resolution) in SIZES {
        let network = Network::write(width, resolution)?;
        for batch in [1, 8] {
            for threads in [1, 2] {
                let scenario = Scenario {
                    width,
                    resolution,
                    batch,
                    threads,
                };
                eprintln!("{scenario}");
                compare(environment, &network, scenario, &mut results)?;
            }
        }
        results.layers.extend(network.layers()?);
    }
    results.sizes = network::all_sizes()?;
    Ok(results)
}

fn compare(
    environment: &Environment,
    network: &Network,
    scenario: Scenario,
    results: &mut Results,
) -> Result<()> {
    let mut engines = Vec::new();
    for peer in peers() {
        match Engine::start(environment, peer, network, scenario) {
            Ok(engine) => engines.push(engine),
            Err(error) => {
                eprintln!("  {} not run: {error:#}", peer.name);
                results.not_run.push(NotRun {
                    engine: peer.name.to_string(),
                    scenario,
                    reason: first_line(&format!("{error:#}")),
                });
            }
        }
    }
    let Some(ours) = engines.iter().find(|engine| engine.name == "plan") else {
        bail!("our own engine did not start");
    };
    let ours = ours.logits.clone();
    engines.retain(|engine| {
        let error = relative_difference(&engine.logits, &ours);
        if error > TOLERANCE {
            eprintln!("  {} left out: its logits differ by {error:e}", engine.name);
            results.not_run.push(NotRun {
                engine: engine.name.clone(),
                scenario,
                reason: format!("its logits differ by {error:.1e}"),
            });
        }
        error <= TOLERANCE
    });
    for turn in 0..TURNS {
        // Each turn starts with another engine, so that no engine always runs after the same one.
        let first = turn % engines.len().max(1);
        for index in 0..engines.len() {
            let at = (first + index) % engines.len();
            engines[at].turn(RUNS, SLOW_MS)?;
        }
    }
    for engine in engines {
        let error = relative_difference(&engine.logits, &ours);
        let measurement: Measurement = engine.finish(scenario, error)?;
        eprintln!("  {measurement}");
        results.measurements.push(measurement);
    }
    Ok(())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_string()
}
