//! The raw results that `.ci/scaling` stores: a line for the machine, then one for each run.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The machine, and how busy it was.
#[derive(Debug, Deserialize)]
pub(super) struct Machine {
    pub(super) date: String,
    pub(super) processor: String,
    pub(super) cores: usize,
    load: f64,
}

/// A run of the example `step` of the package mobilenet-distributed.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    /// What is between the ranks. Missing if there is one that only computes.
    network: Option<String>,
    pub(super) width: f64,
    pub(super) side: usize,
    /// Of each rank.
    pub(super) images: usize,
    pub(super) ranks: usize,
    pub(super) wire: String,
    pub(super) values: usize,
    alone_ms: Vec<f64>,
    together_ms: Vec<f64>,
    exchange_ms: Vec<f64>,
    latency_ms: Vec<f64>,
}

/// All of them.
pub(super) struct Results {
    pub(super) machine: Machine,
    records: Vec<Record>,
}

impl Machine {
    /// Whether nothing else ran.
    pub(super) fn is_quiet(&self) -> bool {
        self.load < 0.5
    }
}

impl Record {
    pub(super) fn alone(&self) -> f64 {
        least(&self.alone_ms)
    }

    pub(super) fn together(&self) -> f64 {
        least(&self.together_ms)
    }

    pub(super) fn exchange(&self) -> f64 {
        least(&self.exchange_ms)
    }

    pub(super) fn latency(&self) -> f64 {
        least(&self.latency_ms)
    }

    pub(super) fn size(&self) -> (f64, usize) {
        (self.width, self.side)
    }

    /// Whether it is the same run at another time.
    fn repeats(&self, other: &Self) -> bool {
        let what = |record: &Self| (record.images, record.ranks, record.wire.clone());
        self.network == other.network && self.size() == other.size() && what(self) == what(other)
    }

    fn extend(&mut self, other: Self) {
        self.alone_ms.extend(other.alone_ms);
        self.together_ms.extend(other.together_ms);
        self.exchange_ms.extend(other.exchange_ms);
        self.latency_ms.extend(other.latency_ms);
    }

    /// Images of all ranks.
    pub(super) fn batch(&self) -> usize {
        self.images * self.ranks
    }

    pub(super) fn name(&self) -> String {
        format!("{} / {}", self.width, self.side)
    }
}

fn least(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

impl Results {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let failed = || format!("cannot read {}", path.display());
        let text = std::fs::read_to_string(path).with_context(failed)?;
        Self::parse(&text).with_context(failed)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let machine = serde_json::from_str(lines.next().unwrap_or_default())?;
        let mut records: Vec<Record> = Vec::new();
        for line in lines {
            let record: Record = serde_json::from_str(line)?;
            match records.iter_mut().find(|other| other.repeats(&record)) {
                Some(other) => other.extend(record),
                None => records.push(record),
            }
        }
        Ok(Self { machine, records })
    }

    /// The runs on a network.
    pub(super) fn of(&self, network: &str) -> impl Iterator<Item = &Record> {
        let on = move |record: &&Record| record.network.as_deref() == Some(network);
        self.records.iter().filter(on)
    }

    /// The run of one rank of one thread that only computes.
    pub(super) fn compute(&self, width: f64, side: usize) -> Option<&Record> {
        let mut records = self.records.iter();
        records.find(|record| record.network.is_none() && record.size() == (width, side))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let text = r#"{"date": "2026-01-02", "processor": "P", "cores": 2, "load": 1.5}
{"width": 1.0, "side": 224, "images": 16, "threads": 1, "ranks": 1, "wire": "f32", "values": 9, "alone_ms": [2.0, 1.0], "together_ms": [3.0], "exchange_ms": [1.0], "latency_ms": [0.5]}
{"network": "-", "width": 1.0, "side": 224, "images": 16, "threads": 1, "ranks": 2, "wire": "f32", "values": 9, "alone_ms": [2.0], "together_ms": [4.0], "exchange_ms": [1.0], "latency_ms": [0.5]}"#;
        let results = Results::parse(text).unwrap();
        assert!(!results.machine.is_quiet());
        assert_eq!(results.compute(1.0, 224).unwrap().alone(), 1.0);
        assert_eq!(results.of("-").next().unwrap().together(), 4.0);
        assert!(results.of("1gbit").next().is_none());
        assert!(Results::parse("").is_err());
        // Runs of the same at several times are one.
        let line = text.lines().nth(1).unwrap().replace("3.0", "2.5");
        let results = Results::parse(&format!("{text}\n{line}")).unwrap();
        assert_eq!(results.records.len(), 2);
        assert_eq!(results.compute(1.0, 224).unwrap().together(), 2.5);
    }
}
