//! Settings of post-training quantisation.

use mobilenet_model::ModelError;

/// How weights are mapped to integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    /// Signed integers with a scale for each output channel, and zero points 0: TFLite's 8-bit
    /// specification.
    #[default]
    PerChannel,
    /// Unsigned integers with one scale and one zero point for all weights of a layer, as in
    /// Google's quantised networks. Some accelerators take nothing else.
    PerTensor,
}

/// How the range of an activation follows from its values on the photos. ReLU6's range is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum RangeMethod {
    /// From the smallest to the largest.
    #[default]
    MinMax,
    /// Without this share of the values, half of it at each end.
    Percentile(f64),
    /// With the least mean square error.
    MeanSquareError,
}

/// Settings of post-training quantisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantizeOptions {
    /// How weights are mapped to integers.
    pub scheme: Scheme,
    /// Bits of a weight, 2 to 8. With fewer, the integers still take 8, but their sums are smaller.
    pub weight_bits: u32,
    /// How ranges of activations are found.
    pub range: RangeMethod,
    /// Whether biases are corrected by what the rounding of weights and activations adds to the
    /// mean of each channel.
    pub bias_correction: bool,
    /// Whether weights are rounded to the side on which the errors of a filter cancel best on the
    /// photos, in place of the nearest integer.
    pub adaptive_rounding: bool,
    /// Whether channels with small weights are scaled up where the activation bears it.
    pub equalization: bool,
}

impl Default for QuantizeOptions {
    fn default() -> Self {
        Self::new(Scheme::default())
    }
}

impl QuantizeOptions {
    /// What suits a scheme: 8 bits, ranges from the smallest to the largest value, biases
    /// corrected, weights rounded by the errors of their filters. One scale for a whole layer needs equalisation. With a scale for each channel it
    /// gains nothing, because scaled channels come nearer to ReLU6's bound.
    pub fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            weight_bits: 8,
            range: RangeMethod::default(),
            bias_correction: true,
            adaptive_rounding: true,
            equalization: scheme == Scheme::PerTensor,
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`ModelError::Setting`] if one is out of its range.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        if !(2..=8).contains(&self.weight_bits) {
            return Err(ModelError::Setting {
                setting: "weight_bits",
                range: "2 to 8",
                found: self.weight_bits.to_string(),
            });
        }
        match self.range {
            RangeMethod::Percentile(share) if !(0.0..0.5).contains(&share) => {
                Err(ModelError::Setting {
                    setting: "percentile",
                    range: "at least 0 and less than 0.5",
                    found: share.to_string(),
                })
            }
            _ => Ok(()),
        }
    }
}
