//! Results as they are stored in `docs/benchmarks/results.json`.

use std::fmt;

use anyhow::Result;
use mobilenet::kernels::simd::{Isa, measure_bandwidth, measure_peak};
use serde::{Deserialize, Serialize};

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
        ["plan", "eager"].contains(&self.engine.as_str())
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
pub(super) struct Machine {
    pub(super) date: String,
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) isa: String,
    /// Measured multiply-add peak of one core, in GFLOP/s.
    pub(super) peak_gflops: f64,
    /// Measured speed at which one core reads memory, in GB/s. Older results lack both speeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_gbs: Option<f64>,
    /// The same of a buffer of 1 MiB, about the size of a step, which caches hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_gbs: Option<f64>,
}

impl Machine {
    /// What was measured of the speeds at which one core reads, in GB/s.
    pub(super) fn bandwidths(&self) -> Vec<(&'static str, f64)> {
        let speeds = [
            ("memory", self.memory_gbs),
            ("1 MiB in caches", self.cache_gbs),
        ];
        let speeds = speeds.into_iter();
        speeds
            .filter_map(|(source, speed)| Some((source, speed?)))
            .collect()
    }

    pub(super) fn here() -> Result<Self> {
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = information.lines().find(|line| line.starts_with(name))?;
            Some(line.split(':').nth(1)?.trim().to_string())
        };
        let date = std::process::Command::new("date").arg("+%Y-%m-%d").output();
        let isa = Isa::best()?;
        Ok(Self {
            date: date.map_or(String::new(), |date| {
                String::from_utf8_lossy(&date.stdout).trim().to_string()
            }),
            processor: format!(
                "{}, family {}, model {}",
                field("model name").unwrap_or("unknown".into()),
                field("cpu family").unwrap_or_default(),
                field("model").unwrap_or_default(),
            ),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            isa: isa.to_string(),
            peak_gflops: measure_peak(isa),
            memory_gbs: Some(measure_bandwidth(isa, 1 << 30)),
            cache_gbs: Some(measure_bandwidth(isa, 1 << 20)),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) machine: Machine,
    pub(super) measurements: Vec<Measurement>,
    pub(super) not_run: Vec<NotRun>,
    pub(super) layers: Vec<LayerSpeed>,
    pub(super) sizes: Vec<SizeSpeed>,
}

impl Results {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            measurements: Vec::new(),
            not_run: Vec::new(),
            layers: Vec::new(),
            sizes: Vec::new(),
        }
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

    /// All scenarios, in order of measurement.
    pub(super) fn scenarios(&self) -> Vec<Scenario> {
        let mut scenarios: Vec<Scenario> = Vec::new();
        for measurement in &self.measurements {
            if !scenarios.contains(&measurement.scenario) {
                scenarios.push(measurement.scenario);
            }
        }
        scenarios
    }
}
