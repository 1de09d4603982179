//! How fetching tells what it does.

/// Told of every step; a program shows it as it likes.
pub trait Progress {
    /// A step begins or is done; one sentence.
    fn message(&mut self, text: &str);
    /// A download of so many bytes begins.
    fn begin(&mut self, what: &str, bytes: u64);
    /// So many more bytes have come.
    fn advance(&mut self, bytes: u64);
    /// The download is done.
    fn end(&mut self);
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn message(&mut self, _: &str) {}
    fn begin(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn end(&mut self) {}
}
