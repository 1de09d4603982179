//! Values in memory, owned or shared.

use std::fmt::{Debug, Formatter, Result};
use std::ops::Deref;
use std::sync::Arc;

/// Values that are owned, or a part of something larger that is shared: of a file that is mapped
/// into memory, for example.
#[derive(Clone)]
pub enum Buffer<T> {
    /// Values of its own.
    Owned(Vec<T>),
    /// A part of something else.
    Shared(Arc<dyn AsRef<[T]> + Send + Sync>),
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(values) => values,
            Self::Shared(values) => (**values).as_ref(),
        }
    }
}

impl<T: Clone> Buffer<T> {
    /// The values in a vector. Shared ones are copied.
    pub fn into_vec(self) -> Vec<T> {
        match self {
            Self::Owned(values) => values,
            Self::Shared(_) => self.to_vec(),
        }
    }

    /// The values, mutable. Shared ones are copied first.
    pub fn to_mut(&mut self) -> &mut [T] {
        if let Self::Shared(_) = self {
            *self = Self::Owned(self.to_vec());
        }
        match self {
            Self::Owned(values) => values,
            Self::Shared(_) => &mut [],
        }
    }
}

impl<T> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        Self::Owned(values)
    }
}

impl<T: Debug> Debug for Buffer<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        (**self).fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
