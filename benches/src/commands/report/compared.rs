//! Engines in turn on the same network, each compared with ours number by number: what `integers` and
//! `detection` store and show.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::engine::{Engine, in_turn};
use super::machine::Machine;
use super::results::{Measurement, Scenario, best_peer, ratio};

/// Measured runs per turn.
const RUNS: usize = 6;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Compared {
    pub(super) machine: Machine,
    pub(super) rows: Vec<Row>,
    /// Why an engine is missing.
    pub(super) not_run: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// `uint8`, `int8` or `f32`.
    pub(super) kind: String,
    /// Outputs that are not ours, and their number.
    pub(super) differing: usize,
    #[serde(rename = "logits")]
    pub(super) outputs: usize,
    #[serde(flatten)]
    pub(super) measurement: Measurement,
}

impl Compared {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            rows: Vec::new(),
            not_run: Vec::new(),
        }
    }

    /// All engines on one network.
    pub(super) fn of(&self, kind: &str, scenario: Scenario) -> impl Iterator<Item = &Measurement> {
        let rows = self.rows.iter().filter(move |row| row.kind == kind);
        let found = rows.map(|row| &row.measurement);
        found.filter(move |row| row.scenario == scenario)
    }

    /// Measures the engines that `start` starts, ours first.
    pub(super) fn measure(
        &mut self,
        kind: &str,
        scenario: Scenario,
        engines: &[&str],
        start: impl Fn(&str) -> Result<Engine>,
        tolerance: Tolerance,
        turns: usize,
    ) -> Result<()> {
        eprintln!("{kind} {scenario}");
        let mut started = Vec::new();
        for name in engines {
            match start(name) {
                Ok(engine) => started.push(engine),
                Err(error) => self
                    .not_run
                    .push(format!("{name}, {kind} {scenario}: {error:#}")),
            }
        }
        let ours = started
            .iter()
            .find(|engine| engines.first() == Some(&engine.name.as_str()));
        let ours = ours.context("our own engine did not start")?.logits.clone();
        let most = match tolerance {
            Tolerance::Absolute(most) => most,
            Tolerance::OfLargest(share) => {
                share
                    * ours
                        .iter()
                        .fold(0.0f32, |most, value| most.max(value.abs()))
            }
        };
        in_turn(&mut started, turns, |engine| {
            engine.turn(RUNS, f64::INFINITY)
        })?;
        for engine in started {
            let differs = |(a, b): &(&f32, &f32)| (*a - *b).abs() > most;
            let differing = engine.logits.iter().zip(&ours).filter(differs).count();
            let missing = ours.len().abs_diff(engine.logits.len());
            let measurement = engine.finish(scenario, 0.0)?;
            eprintln!("  {measurement}");
            self.rows.push(Row {
                kind: kind.to_string(),
                differing: differing + missing,
                outputs: ours.len(),
                measurement,
            });
        }
        Ok(())
    }

    /// All rows as a table, and what was not run.
    pub(super) fn table(&self) -> Result<String> {
        let mut text = String::from(
            "\n| network | engine | version | min ms | median ms | time / best peer | load ms | memory MB | differing |\n\
             |---|---|---|--:|--:|--:|--:|--:|--:|\n",
        );
        for row in &self.rows {
            let Measurement {
                engine,
                version,
                scenario,
                min_ms,
                median_ms,
                load_ms,
                peak_rss_mb,
                ..
            } = &row.measurement;
            let best = best_peer(self.of(&row.kind, *scenario), |_| true);
            writeln!(
                text,
                "| {} {scenario} | {engine}{} | {version} | {min_ms:.2} | {median_ms:.2} | {} | {load_ms:.0} | {peak_rss_mb:.0} | {} of {} |",
                row.kind,
                self.machine.mark(engine),
                ratio(*min_ms, best),
                row.differing,
                row.outputs,
            )?;
        }
        for reason in &self.not_run {
            writeln!(text, "\nNot run: {reason}.")?;
        }
        Ok(text)
    }
}

/// How far outputs may be from ours.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tolerance {
    Absolute(f32),
    /// A share of the largest of ours.
    OfLargest(f32),
}
