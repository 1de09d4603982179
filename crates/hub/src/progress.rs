//! Progress of fetching, reported to the program.

/// Receives the progress of fetching. A program implements it to show what is going on.
pub trait Progress {
    /// A step begins or has ended. `text` is one sentence.
    fn message(&mut self, text: &str);
    /// A download begins: the file's name and its size in bytes.
    fn begin(&mut self, what: &str, bytes: u64);
    /// Another `bytes` bytes have arrived.
    fn advance(&mut self, bytes: u64);
    /// The download has ended.
    fn end(&mut self);
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn message(&mut self, _: &str) {}
    fn begin(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn end(&mut self) {}
}
