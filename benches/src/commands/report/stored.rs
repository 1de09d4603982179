//! All that is stored of one machine and instruction set.

use std::path::Path;

use anyhow::Result;

use super::busy::Busy;
use super::compared::Compared;
use super::first_answer::FirstAnswer;
use super::machine::Machine;
use super::raw;
use super::results::{Images, Results};
use super::training::Training;

pub(super) const RESULTS: &str = "results.json";
pub(super) const TRAINING: &str = "training.json";
pub(super) const INTEGERS: &str = "integers.json";
pub(super) const DETECTION: &str = "detection.json";
pub(super) const BUSY: &str = "busy.json";
pub(super) const FIRST_ANSWER: &str = "first-answer.json";

/// The parts that were measured.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) results: Option<Results>,
    pub(super) training: Option<Training>,
    pub(super) integers: Option<Compared>,
    pub(super) detection: Option<Compared>,
    pub(super) busy: Option<Busy>,
    pub(super) first_answer: Option<FirstAnswer>,
}

/// A part that was measured: its name, its page, when, and how often each engine ran.
pub(super) struct Part<'a> {
    pub(super) name: &'static str,
    pub(super) page: &'static str,
    pub(super) machine: &'a Machine,
    /// Least and most.
    pub(super) runs: [usize; 2],
}

impl Stored {
    pub(super) fn read(folder: &Path) -> Result<Self> {
        Ok(Self {
            results: raw::read(folder, RESULTS)?,
            training: raw::read(folder, TRAINING)?,
            integers: raw::read(folder, INTEGERS)?,
            detection: raw::read(folder, DETECTION)?,
            busy: raw::read(folder, BUSY)?,
            first_answer: raw::read(folder, FIRST_ANSWER)?,
        })
    }

    pub(super) fn parts(&self) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        let mut add = |name, page, machine, runs: &mut dyn Iterator<Item = usize>| {
            let runs = runs.fold([usize::MAX, 0], |[least, most], runs| {
                [least.min(runs), most.max(runs)]
            });
            parts.push(Part {
                name,
                page,
                machine,
                runs,
            });
        };
        for (name, images) in [("inference", Images::Single), ("batches", Images::Batches)] {
            let found = self
                .results
                .as_ref()
                .and_then(|results| results.part(images));
            if let Some((machine, rows)) = found {
                let mut runs = rows.iter().map(|row| row.runs_ms.len());
                add(name, "README.md", machine, &mut runs);
            }
        }
        for (name, page, part) in [
            ("integers", "integers.md", &self.integers),
            ("detection", "detection.md", &self.detection),
        ] {
            if let Some(Compared { machine, rows, .. }) = part {
                let mut runs = rows.iter().map(|row| row.measurement.runs_ms.len());
                add(name, page, machine, &mut runs);
            }
        }
        if let Some(training) = &self.training {
            let rows = training.measurements.iter();
            let mut runs = rows.map(|row| row.runs_ms.len());
            add("training", "training.md", &training.machine, &mut runs);
        }
        if let Some(Busy { machine, rows, .. }) = &self.busy {
            let mut runs = rows.iter().map(|row| row.runs_ms.len());
            add("busy", "busy.md", machine, &mut runs);
        }
        if let Some(FirstAnswer { machine, rows, .. }) = &self.first_answer {
            let mut runs = rows.iter().map(|row| row.runs_ms.len());
            add("first-answer", "first-answer.md", machine, &mut runs);
        }
        parts
    }

    /// The machine, as the first part found it; none if nothing was measured.
    pub(super) fn machine(&self) -> Option<Machine> {
        self.parts().first().map(|part| part.machine.clone())
    }
}
