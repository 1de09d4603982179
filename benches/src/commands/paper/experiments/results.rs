//! The raw results: one line of JSON for each run, after one for the scale.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use mobilenet::model::file::write_atomically;
use serde::{Deserialize, Serialize};

use super::design::{Images, Scale, Setting};

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) setting: Setting,
    pub(super) seed: u64,
    /// Share of the test images whose class the network names.
    pub(super) accuracy: f64,
}

/// All runs so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Results {
    pub(super) scale: Scale,
    pub(super) runs: Vec<Run>,
}

/// Mean, and sample standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) deviation: f64,
    pub(super) runs: usize,
}

impl Spread {
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let runs = values.len();
        if runs == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / runs as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            deviation: (squares / (runs - 1).max(1) as f64).sqrt(),
            runs,
        })
    }

    /// The standard error of the mean.
    pub(super) fn error(&self) -> f64 {
        self.deviation / (self.runs as f64).sqrt()
    }

    /// The difference of two means, and its standard error.
    pub(super) fn minus(&self, other: &Self) -> (f64, f64) {
        let error = self.error().hypot(other.error());
        (self.mean - other.mean, error)
    }
}

impl Results {
    /// Accuracy of a setting in per cent, over the seeds.
    pub(super) fn accuracy(&self, setting: &Setting) -> Result<Spread> {
        let runs = self.runs.iter().filter(|run| run.setting == *setting);
        let values: Vec<f64> = runs.map(|run| 100.0 * run.accuracy).collect();
        ensure!(
            values.len() as u64 == self.scale.seeds,
            "{} of {} runs of {setting:?}: `cargo xtask paper --experiments` completes them (with \
             --photos DIR those on photos)",
            values.len(),
            self.scale.seeds
        );
        Spread::of(&values).context("no runs")
    }

    /// The stored results, or none yet. Those of the quick form make room for others.
    pub(super) fn to_continue(stored: Option<Self>, scale: &Scale) -> Result<Self> {
        match stored {
            Some(stored) if stored.scale == *scale => Ok(stored),
            Some(stored) if !stored.scale.quick => bail!(
                "docs/experiments.jsonl holds {} runs of another form, which took long; \
                 move it away first",
                stored.runs.len()
            ),
            _ => Ok(Self {
                scale: scale.clone(),
                runs: Vec::new(),
            }),
        }
    }

    /// Whether there are runs on photos, for which the photos have to be given.
    pub(super) fn has_photos(&self) -> bool {
        let mut runs = self.runs.iter();
        runs.any(|run| run.setting.images == Images::Flowers)
    }

    pub(super) fn has(&self, setting: &Setting, seed: u64) -> bool {
        let mut runs = self.runs.iter();
        runs.any(|run| run.setting == *setting && run.seed == seed)
    }

    /// `None` if there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let located = || format!("cannot read {}", path.display());
        let text = std::fs::read_to_string(path).with_context(located)?;
        let mut lines = text.lines();
        let scale = serde_json::from_str(lines.next().unwrap_or_default()).with_context(located)?;
        let runs = lines.map(serde_json::from_str).collect::<Result<_, _>>();
        Ok(Some(Self {
            scale,
            runs: runs.with_context(located)?,
        }))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string(&self.scale)? + "\n";
        for run in &self.runs {
            text += &(serde_json::to_string(run)? + "\n");
        }
        let written = write_atomically(path, text.as_bytes());
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(accuracies: &[f64]) -> Results {
        let run = |(seed, &accuracy): (usize, &f64)| Run {
            setting: Setting::LARGEST,
            seed: seed as u64,
            accuracy,
        };
        Results {
            scale: Scale {
                seeds: 3,
                ..Scale::QUICK
            },
            runs: accuracies.iter().enumerate().map(run).collect(),
        }
    }

    #[test]
    fn means_have_errors() {
        let spread = results(&[0.8, 0.83, 0.86])
            .accuracy(&Setting::LARGEST)
            .unwrap();
        assert!((spread.mean - 83.0).abs() < 1e-9 && (spread.deviation - 3.0).abs() < 1e-9);
        let (difference, error) = spread.minus(&Spread::of(&[80.0, 80.0, 80.0]).unwrap());
        assert!((difference - 3.0).abs() < 1e-9 && (error - 3f64.sqrt()).abs() < 1e-9);
        let missing = results(&[0.8]).accuracy(&Setting::LARGEST).unwrap_err();
        assert!(missing.to_string().contains("1 of 3 runs"), "{missing}");
    }

    #[test]
    fn a_night_of_results_is_not_lost() {
        let quick = results(&[0.8]);
        let go_on = |stored: &Results, scale| Results::to_continue(Some(stored.clone()), scale);
        assert_eq!(go_on(&quick, &quick.scale).unwrap(), quick);
        assert!(go_on(&quick, &Scale::FULL).unwrap().runs.is_empty());
        let full = Results {
            scale: Scale::FULL,
            ..quick
        };
        assert_eq!(go_on(&full, &Scale::FULL).unwrap(), full);
        let refused = go_on(&full, &Scale::QUICK).unwrap_err();
        assert!(refused.to_string().contains("1 runs"), "{refused}");
    }

    #[test]
    fn files_round_trip_and_broken_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("experiments.jsonl");
        assert_eq!(Results::read(&path).unwrap(), None);
        let written = results(&[0.8, 0.81234567891]);
        written.write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), Some(written));
        std::fs::write(&path, "{\"quick\":true}").unwrap();
        let error = Results::read(&path).unwrap_err();
        assert!(error.to_string().contains("experiments.jsonl"), "{error}");
    }
}
