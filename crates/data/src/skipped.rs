//! Photos that cannot be used. They are left out and reported once. Too many are an error.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use super::DataError;

/// A photo that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its index in the data set.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Limit of the photos that are left out.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    images: usize,
    share: f64,
}

impl Tolerance {
    /// At most this share of so many photos.
    ///
    /// # Errors
    /// If the share is not from 0 to 1.
    pub fn new(images: usize, share: f64) -> Result<Self, DataError> {
        if !(0.0..=1.0).contains(&share) {
            let message = format!("a share of {share} skipped photos is not between 0 and 1");
            return Err(DataError::Settings(message));
        }
        Ok(Self { images, share })
    }

    /// Whether more photos are left out than allowed. All of them are always too many.
    pub(super) fn exceeded(&self, skipped: usize) -> bool {
        skipped as f64 > self.share * self.images as f64 || (skipped > 0 && skipped == self.images)
    }
}

/// All photos left out so far, each once.
pub struct SkippedList {
    tolerance: Tolerance,
    seen: BTreeSet<usize>,
    list: Vec<Skipped>,
}

impl SkippedList {
    /// Nothing is left out yet.
    pub fn new(tolerance: Tolerance) -> Self {
        Self {
            tolerance,
            seen: BTreeSet::new(),
            list: Vec::new(),
        }
    }

    /// In the order in which they were found.
    pub fn as_slice(&self) -> &[Skipped] {
        &self.list
    }

    /// Adds those that are new.
    ///
    /// # Errors
    /// [`DataError::TooManySkipped`] once they are more than allowed.
    pub fn add(&mut self, skipped: Vec<Skipped>) -> Result<(), DataError> {
        for one in skipped {
            if self.seen.insert(one.index) {
                self.list.push(one);
            }
        }
        match self.list.first() {
            Some(first) if self.tolerance.exceeded(self.list.len()) => {
                Err(DataError::TooManySkipped {
                    skipped: self.list.len(),
                    images: self.tolerance.images,
                    allowed: self.tolerance.share,
                    first: first.reason.clone(),
                })
            }
            _ => Ok(()),
        }
    }
}

/// Runs code that may panic on a photo. A panic becomes an error of that photo, not of the run.
pub(super) fn guarded<T>(
    name: impl Fn() -> String,
    run: impl FnOnce() -> Result<T, DataError>,
) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(DataError::Panicked {
            name: name(),
            message: message.to_string(),
        })
    })
}
