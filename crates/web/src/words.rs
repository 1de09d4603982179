//! Descriptions: numbers of 32 bits, little-endian, one after another.

use mobilenet_kernels::{Activation, ConvGeometry, Padding};

use crate::error::{WebError, check_size};

/// Longest side of a kernel, and most strides, taps apart and pixels of padding.
const MOST_OF_WINDOW: usize = 1 << 10;
/// Most channels of a map, and most classes.
pub(crate) const MOST_CHANNELS: usize = 1 << 20;

/// Reads a description.
pub(crate) struct Words<'a> {
    bytes: &'a [u8],
    of: &'static str,
}

impl<'a> Words<'a> {
    /// A description of something.
    pub(crate) fn new(bytes: &'a [u8], of: &'static str) -> Self {
        Self { bytes, of }
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> Result<u32, WebError> {
        let (word, rest) = self
            .bytes
            .split_first_chunk()
            .ok_or(WebError::Short(self.of))?;
        self.bytes = rest;
        Ok(u32::from_le_bytes(*word))
    }

    /// The next number as a number of things.
    pub(crate) fn count(&mut self) -> Result<usize, WebError> {
        Ok(self.next()? as usize)
    }

    /// The next number as a size from 1 to `most`.
    pub(crate) fn size(&mut self, what: &'static str, most: usize) -> Result<usize, WebError> {
        let found = self.count()?;
        check_size(what, found, most)?;
        Ok(found)
    }

    /// The next number's bits as an f32.
    pub(crate) fn float(&mut self) -> Result<f32, WebError> {
        Ok(f32::from_bits(self.next()?))
    }

    /// The next two numbers' bits as an f64, the lower half first.
    pub(crate) fn double(&mut self) -> Result<f64, WebError> {
        let (low, high) = (self.next()?, self.next()?);
        Ok(f64::from_bits(u64::from(high) << 32 | u64::from(low)))
    }

    /// A window: kernel, stride, dilation, then 0 for SAME, or 1 and the four paddings.
    pub(crate) fn window(&mut self) -> Result<ConvGeometry, WebError> {
        let kernel = [
            self.size("the rows of a kernel", MOST_OF_WINDOW)?,
            self.size("the columns of a kernel", MOST_OF_WINDOW)?,
        ];
        let stride = self.size("a stride", MOST_OF_WINDOW)?;
        let dilation = self.size("a dilation", MOST_OF_WINDOW)?;
        let padding = match self.next()? {
            0 => Padding::Same,
            1 => {
                let mut side = || -> Result<usize, WebError> {
                    // A padding may be zero.
                    let side = self.count()?;
                    check_size("a padding", side + 1, MOST_OF_WINDOW)?;
                    Ok(side)
                };
                Padding::Explicit {
                    top: side()?,
                    bottom: side()?,
                    left: side()?,
                    right: side()?,
                }
            }
            found => {
                let what = "a kind of padding";
                return Err(WebError::Unknown { what, found });
            }
        };
        Ok(ConvGeometry {
            kernel,
            stride,
            dilation,
            padding,
        })
    }

    /// An activation.
    pub(crate) fn activation(&mut self) -> Result<Activation, WebError> {
        match self.next()? {
            0 => Ok(Activation::Identity),
            1 => Ok(Activation::Relu),
            2 => Ok(Activation::Relu6),
            found => Err(WebError::Unknown {
                what: "an activation",
                found,
            }),
        }
    }
}
