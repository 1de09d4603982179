//! Progress of fetching, on standard error: bars on a terminal, sentences everywhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use mobilenet::hub::Progress;

/// A bar for the download under way.
#[derive(Default)]
pub(crate) struct Terminal {
    bar: Option<ProgressBar>,
}

impl Progress for Terminal {
    fn message(&mut self, text: &str) {
        eprintln!("{text}");
    }

    fn begin(&mut self, what: &str, bytes: u64) {
        if !std::io::stderr().is_terminal() {
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
