//! Measures inference in f32: first it checks that the engines agree, then they take turns.

use anyhow::{Result, bail};
use mobilenet_benches::relative_difference;

use super::engine::{Engine, in_turn, turns};
use super::environment::{Environment, peers};
use super::machine::Machine;
use super::network::{self, Network};
use super::results::{Images, NotRun, Results, Scenario};

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

pub(super) fn measure(
    environment: &Environment,
    machine: Machine,
    images: Images,
    quick: bool,
) -> Result<Results> {
    let mut results = Results::new(machine);
    for (width, resolution) in SIZES {
        let network = Network::write(width, resolution)?;
        for threads in [1, 2] {
            let scenario = Scenario {
                width,
                resolution,
                batch: match images {
                    Images::Single => 1,
                    Images::Batches => 8,
                },
                threads,
            };
            eprintln!("{scenario}");
            let turns = turns(TURNS, quick);
            compare(environment, &network, scenario, turns, &mut results)?;
        }
        if images == Images::Single {
            results.layers.extend(network.layers()?);
        }
    }
    if images == Images::Single {
        results.sizes = network::all_sizes()?;
    }
    Ok(results)
}

fn compare(
    environment: &Environment,
    network: &Network,
    scenario: Scenario,
    turns: usize,
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
    in_turn(&mut engines, turns, |engine| engine.turn(RUNS, SLOW_MS))?;
    for engine in engines {
        let error = relative_difference(&engine.logits, &ours);
        let measurement = engine.finish(scenario, error)?;
        eprintln!("  {measurement}");
        results.measurements.push(measurement);
    }
    Ok(())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_string()
}
