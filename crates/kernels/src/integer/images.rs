//! What goes into a program and what comes out of it.

use std::sync::atomic::{AtomicPtr, Ordering};

use super::network::{IntegerType, ValueKind};
use super::quantizer::Quantizer;
use super::rounding::ByteScale;
use crate::error::KernelError;

/// A batch of images, `[batch, rows, columns, channels]`.
#[derive(Debug, Clone, Copy)]
pub enum IntegerImages<'a> {
    /// Numbers, which the program rounds to integers first, as the file says.
    F32(&'a [f32]),
    /// The network's own integers.
    U8(&'a [u8]),
    /// The network's own integers.
    I8(&'a [i8]),
}

impl IntegerImages<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn name(&self) -> &'static str {
        match self {
            Self::F32(_) => "f32",
            Self::U8(_) => "u8",
            Self::I8(_) => "i8",
        }
    }

    /// Checks that a network takes these values.
    pub(super) fn check(&self, input: ValueKind) -> Result<(), KernelError> {
        let integer = match input {
            ValueKind::F32 => None,
            ValueKind::Quantized(quantized) => Some(quantized.integer),
        };
        match (self, integer) {
            (Self::F32(_), _)
            | (Self::U8(_), Some(IntegerType::U8))
            | (Self::I8(_), Some(IntegerType::I8)) => Ok(()),
            _ => Err(KernelError::Values {
                what: "the input",
                expected: name(integer),
                found: self.name(),
            }),
        }
    }

    /// Writes the values from `start` on as bytes.
    #[inline(always)]
    pub(super) fn write(&self, start: usize, to: &mut [u8], quantizer: &Quantizer) {
        match self {
            Self::F32(values) => quantizer.write(&values[start..], to),
            Self::U8(values) => to.copy_from_slice(&values[start..][..to.len()]),
            Self::I8(values) => {
                for (to, &value) in to.iter_mut().zip(&values[start..]) {
                    *to = value as u8 ^ 0x80;
                }
            }
        }
    }
}

fn name(integer: Option<IntegerType>) -> &'static str {
    match integer {
        None => "f32",
        Some(IntegerType::U8) => "u8",
        Some(IntegerType::I8) => "i8",
    }
}

/// Where an output is written, `[batch, rows, columns, channels]`.
#[derive(Debug)]
pub enum IntegerOutput<'a> {
    /// The numbers that the integers mean.
    F32(&'a mut [f32]),
    /// The network's own integers.
    U8(&'a mut [u8]),
    /// The network's own integers.
    I8(&'a mut [i8]),
}

impl IntegerOutput<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that a layer has such values.
    pub(super) fn check(&self, output: ValueKind) -> Result<(), KernelError> {
        let (found, integer) = match self {
            Self::F32(_) => return Ok(()),
            Self::U8(_) => ("u8", IntegerType::U8),
            Self::I8(_) => ("i8", IntegerType::I8),
        };
        match output {
            ValueKind::Quantized(quantized) if quantized.integer == integer => Ok(()),
            ValueKind::Quantized(quantized) => Err(KernelError::Values {
                what: "an output",
                expected: name(Some(quantized.integer)),
                found,
            }),
            ValueKind::F32 => Err(KernelError::Values {
                what: "an output",
                expected: "f32",
                found,
            }),
        }
    }
}

/// An output during a run.
#[derive(Debug, Default)]
pub(super) struct Destination {
    at: AtomicPtr<u8>,
    numbers: bool,
}

impl Destination {
    pub(super) fn set(&mut self, output: &mut IntegerOutput<'_>) {
        self.numbers = matches!(output, IntegerOutput::F32(_));
        *self.at.get_mut() = match output {
            IntegerOutput::F32(values) => values.as_mut_ptr().cast(),
            IntegerOutput::U8(values) => values.as_mut_ptr(),
            IntegerOutput::I8(values) => values.as_mut_ptr().cast(),
        };
    }

    /// Writes bytes of a map as the values from `start` on.
    ///
    /// # Safety
    /// The output has room for them, and they are the caller's alone.
    #[inline(always)]
    pub(super) unsafe fn write(&self, start: usize, bytes: &[u8], scale: ByteScale) {
        let at = self.at.load(Ordering::Relaxed);
        for (i, &byte) in bytes.iter().enumerate() {
            // SAFETY: the caller's guarantee.
            unsafe {
                if self.numbers {
                    let steps = i32::from(byte) - scale.zero_point;
                    at.cast::<f32>()
                        .add(start + i)
                        .write(steps as f32 * scale.scale);
                } else {
                    at.add(start + i)
                        .write((i32::from(byte) - scale.offset) as u8);
                }
            }
        }
    }
}
