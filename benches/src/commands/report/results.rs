//! Results of inference as they are stored in `results.json`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// One comparison: the network's size, the batch and the number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Scenario {
    pub(super) width: f64,
    pub(super) resolution: usize,
    pub(super) batch: usize,
    pub(super) threads: usize,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            width,
            resolution,
            batch,
            threads,
        } = self;
        let plural = if *threads == 1 { "" } else { "s" };
        write!(
            f,
            "{width}/{resolution}, batch {batch}, {threads} thread{plural}"
        )
    }
}

/// The two parts of inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Images {
    Single,
    Batches,
}

impl Images {
    fn has(self, scenario: Scenario) -> bool {
        (scenario.batch > 1) == (self == Self::Batches)
    }
}

/// Times of one engine in one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measurement {
    pub(super) engine: String,
    pub(super) version: String,
    #[serde(flatten)]
    pub(super) scenario: Scenario,
    pub(super) min_ms: f64,
    pub(super) median_ms: f64,
    pub(super) load_ms: f64,
    pub(super) peak_rss_mb: f64,
    /// Largest difference of its logits from ours, relative to the largest logit.
    pub(super) difference: f32,
    pub(super) runs_ms: Vec<f64>,
}

impl Measurement {
    /// Whether it is an engine of this project, and no peer.
    pub(super) fn is_ours(&self) -> bool {
        ["plan", "eager", "integers", "train", "quantize"].contains(&self.engine.as_str())
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: min {:.2} ms, median {:.2} ms",
            self.engine, self.min_ms, self.median_ms
        )
    }
}

/// An engine that could not be measured, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct NotRun {
    pub(super) engine: String,
    #[serde(flatten)]
    pub(super) scenario: Scenario,
    pub(super) reason: String,
}

/// One step of the plan (the stem or a separable block), measured alone with warm caches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LayerSpeed {
    pub(super) width: f64,
    pub(super) resolution: usize,
    pub(super) name: String,
    pub(super) multiply_adds: u64,
    /// Bytes of input, output and weights.
    pub(super) bytes: u64,
    pub(super) min_ms: f64,
}

impl LayerSpeed {
    /// Floating-point operations of its definition, two per multiply-add, per second.
    pub(super) fn gflops(&self) -> f64 {
        2.0 * self.multiply_adds as f64 / self.min_ms / 1e6
    }

    /// Floating-point operations per byte.
    pub(super) fn intensity(&self) -> f64 {
        2.0 * self.multiply_adds as f64 / self.bytes as f64
    }
}

/// The plan at one of the 16 published sizes, batch 1, one thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SizeSpeed {
    pub(super) width: f64,
    pub(super) resolution: usize,
    pub(super) multiply_adds: u64,
    pub(super) min_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    /// Of single images, steps and sizes.
    pub(super) machine: Machine,
    /// Of batches of several images, if they were measured at another time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batches: Option<Machine>,
    pub(super) measurements: Vec<Measurement>,
    pub(super) not_run: Vec<NotRun>,
    pub(super) layers: Vec<LayerSpeed>,
    pub(super) sizes: Vec<SizeSpeed>,
}

impl Results {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            batches: None,
            measurements: Vec::new(),
            not_run: Vec::new(),
            layers: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Takes new results of batches, or of all else, in place of the stored ones.
    pub(super) fn merge(&mut self, newer: Self, part: Images) {
        match part {
            Images::Batches => self.batches = Some(newer.machine),
            Images::Single => {
                let older = std::mem::replace(&mut self.machine, newer.machine);
                if self.part(Images::Batches).is_some() {
                    self.batches.get_or_insert(older);
                }
                (self.layers, self.sizes) = (newer.layers, newer.sizes);
            }
        }
        self.measurements.retain(|row| !part.has(row.scenario));
        self.not_run.retain(|row| !part.has(row.scenario));
        self.measurements.extend(newer.measurements);
        self.not_run.extend(newer.not_run);
    }

    /// The measurements of a part and their machine; none if it was not measured.
    pub(super) fn part(&self, part: Images) -> Option<(&Machine, Vec<&Measurement>)> {
        let rows = self.measurements.iter();
        let rows: Vec<_> = rows.filter(|row| part.has(row.scenario)).collect();
        let machine = match part {
            Images::Single => &self.machine,
            Images::Batches => self.batches.as_ref().unwrap_or(&self.machine),
        };
        (!rows.is_empty()).then_some((machine, rows))
    }

    /// Measurements of a scenario, fastest first.
    pub(super) fn of(&self, scenario: Scenario) -> Vec<&Measurement> {
        let mut found: Vec<&Measurement> = self
            .measurements
            .iter()
            .filter(|measurement| measurement.scenario == scenario)
            .collect();
        found.sort_by(|a, b| a.min_ms.total_cmp(&b.min_ms));
        found
    }

    /// Width and resolution of the networks whose steps were measured, in order of measurement.
    pub(super) fn networks(&self) -> Vec<(f64, usize)> {
        let mut networks: Vec<(f64, usize)> = Vec::new();
        for layer in &self.layers {
            let network = (layer.width, layer.resolution);
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        networks
    }

    /// Steps of one of the networks.
    pub(super) fn steps(
        &self,
        (width, resolution): (f64, usize),
    ) -> impl Iterator<Item = &LayerSpeed> {
        self.layers
            .iter()
            .filter(move |layer| layer.width == width && layer.resolution == resolution)
    }

    /// All scenarios, large networks first.
    pub(super) fn scenarios(&self) -> Vec<Scenario> {
        let mut scenarios: Vec<Scenario> = Vec::new();
        for measurement in &self.measurements {
            if !scenarios.contains(&measurement.scenario) {
                scenarios.push(measurement.scenario);
            }
        }
        scenarios.sort_by(|a, b| {
            let size = |of: &Scenario| (of.resolution, of.batch, of.threads);
            b.width.total_cmp(&a.width).then(size(a).cmp(&size(b)))
        });
        scenarios
    }
}

/// The time of the fastest peer of these that `admitted` lets through; infinite if there is none.
pub(super) fn best_peer<'a>(
    rows: impl IntoIterator<Item = &'a Measurement>,
    admitted: impl Fn(&str) -> bool,
) -> f64 {
    let peers = rows
        .into_iter()
        .filter(|row| !row.is_ours() && admitted(&row.engine));
    peers.fold(f64::INFINITY, |best, peer| best.min(peer.min_ms))
}

/// A time by that of the best peer, as tables show it; nothing if there is no peer.
pub(super) fn ratio(ms: f64, best_peer: f64) -> String {
    match best_peer.is_finite() {
        true => format!("{:.2}", ms / best_peer),
        false => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::machine::tests::machine;
    use super::*;

    pub(crate) fn row(engine: &str, scenario: Scenario, min_ms: f64) -> Measurement {
        Measurement {
            engine: engine.to_string(),
            version: "1".to_string(),
            scenario,
            min_ms,
            median_ms: min_ms,
            load_ms: 1.0,
            peak_rss_mb: 1.0,
            difference: 0.0,
            runs_ms: vec![min_ms],
        }
    }

    pub(crate) const fn scenario(width: f64, resolution: usize, batch: usize) -> Scenario {
        Scenario {
            width,
            resolution,
            batch,
            threads: 1,
        }
    }

    /// Results of a day: both batches of one network.
    fn results(date: &str, batches: &[usize], ms: f64) -> Results {
        let mut results = Results::new(machine("unknown", "avx2", date));
        for &batch in batches {
            let scenario = scenario(1.0, 224, batch);
            results.measurements.push(row("plan", scenario, ms));
            results.not_run.push(NotRun {
                engine: "tract".to_string(),
                scenario,
                reason: date.to_string(),
            });
        }
        results
    }

    #[test]
    fn a_part_takes_the_place_of_the_stored_one_and_keeps_the_other() {
        let mut stored = results("old", &[1, 8], 3.0);
        let mut newer = results("new", &[1], 2.0);
        newer.sizes.push(SizeSpeed {
            width: 1.0,
            resolution: 224,
            multiply_adds: 1,
            min_ms: 2.0,
        });
        stored.merge(newer.clone(), Images::Single);
        // Batches keep the date of before.
        let part = |results: &Results, part| {
            let (machine, rows) = results.part(part).unwrap();
            (machine.date.clone(), rows.len(), rows[0].min_ms)
        };
        assert_eq!(part(&stored, Images::Single), ("new".into(), 1, 2.0));
        assert_eq!(part(&stored, Images::Batches), ("old".into(), 1, 3.0));
        assert_eq!((stored.not_run.len(), &stored.sizes), (2, &newer.sizes));
        stored.merge(results("newest", &[8], 1.0), Images::Batches);
        assert_eq!(part(&stored, Images::Batches), ("newest".into(), 1, 1.0));
        assert_eq!(part(&stored, Images::Single), ("new".into(), 1, 2.0));
        assert_eq!((stored.not_run.len(), &stored.sizes), (2, &newer.sizes));
        // Single images of later still do not change the batches' date.
        stored.merge(results("last", &[1], 4.0), Images::Single);
        assert_eq!(part(&stored, Images::Batches), ("newest".into(), 1, 1.0));
    }

    #[test]
    fn scenarios_come_in_one_order() {
        let mut results = Results::new(machine("unknown", "avx2", ""));
        let sizes = [(0.25, 128, 1), (1.0, 224, 8), (1.0, 224, 1)];
        for (width, resolution, batch) in sizes {
            let scenario = scenario(width, resolution, batch);
            results.measurements.push(row("plan", scenario, 1.0));
        }
        let found = results.scenarios();
        let found: Vec<f64> = found.iter().map(|of| of.width * of.batch as f64).collect();
        assert_eq!(found, [1.0, 8.0, 0.25]);
    }
}
