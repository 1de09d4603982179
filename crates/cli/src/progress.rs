//! Progress of fetching and training on standard error: messages, and bars if it is a terminal.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use mobilenet::hub::Progress;
use mobilenet::train::log::Record;
use mobilenet::train::run::Observer;

use crate::output;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether progress is hidden.
pub(crate) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

fn quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Bars are for people who watch.
fn hidden() -> bool {
    quiet() || !std::io::stderr().is_terminal()
}

/// Shows a bar for the current download.
#[derive(Default)]
pub(crate) struct Terminal {
    bar: Option<ProgressBar>,
}

impl Progress for Terminal {
    fn message(&mut self, text: &str) {
        if !quiet() {
            eprintln!("{text}");
        }
    }

    fn begin(&mut self, what: &str, bytes: u64) {
        if hidden() {
            return;
        }
        let style = ProgressStyle::with_template(
            "{msg} [{bar:40}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
        );
        let bar = ProgressBar::new(bytes).with_message(what.to_string());
        self.bar = Some(match style {
            Ok(style) => bar.with_style(style.progress_chars("=> ")),
            Err(_) => bar,
        });
    }

    fn advance(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A bar that counts to `length`; hidden unless standard error is a terminal.
pub(crate) fn counting(length: u64) -> ProgressBar {
    if hidden() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    match ProgressStyle::with_template("[{bar:40}] {pos}/{len} {per_sec}, {eta} left  {msg}") {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// Shows a training: a bar, and records as sentences or as JSON.
pub(crate) struct Training {
    json: bool,
    bar: ProgressBar,
}

impl Training {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            bar: ProgressBar::hidden(),
        }
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Training {
    fn begin(&mut self, step: u64, steps: u64) {
        if step > 0 && !quiet() {
            eprintln!("going on after step {step} of {steps}");
        }
        self.bar = counting(steps);
        self.bar.set_position(step);
        self.bar.reset_eta();
    }

    fn step(&mut self, step: u64, loss: f64) {
        self.bar.set_position(step);
        self.bar.set_message(format!("loss {loss:.4}"));
    }

    fn record(&mut self, record: &Record) {
        if self.json {
            // A training continues even if nobody reads its output.
            drop(output::json(record));
            return;
        }
        if quiet() {
            return;
        }
        let text = match record {
            Record::Step(record) => {
                let stale = record
                    .staleness
                    .map(|steps| format!(", {steps:.1} steps stale"));
                format!(
                    "step {}: loss {:.4}, learning rate {:.3e}, {:.0} images/s{}",
                    record.step,
                    record.loss,
                    record.learning_rate,
                    record.images_per_second,
                    stale.unwrap_or_default()
                )
            }
            Record::Epoch(record) => format!(
                "epoch {}: accuracy {:.2} %, recall at 5 {:.2} %",
                record.epoch,
                100.0 * record.accuracy,
                100.0 * record.recall_5
            ),
            Record::Measure(record) => {
                let value = record
                    .value
                    .map_or("none".to_string(), |value| format!("{value:.4}"));
                format!("epoch {}: {} {value}", record.epoch, record.measure.name())
            }
            Record::Detection(record) => {
                let share = |share: Option<f64>| match share {
                    Some(share) => format!("{:.2} %", 100.0 * share),
                    None => "none".to_string(),
                };
                format!(
                    "epoch {}: average precision {}, at an overlap of 0.5 {}",
                    record.epoch,
                    share(record.ap),
                    share(record.ap_50)
                )
            }
        };
        self.bar.suspend(|| eprintln!("{text}"));
    }

    fn message(&mut self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}
