//! The arithmetic on the image before the first convolution: `x * scale + offset`.

use crate::checkpoint::readers::graph::Operator;

/// Most values of a constant that scales or shifts the image: one per channel.
pub(super) const MOST_VALUES: usize = 4;

/// Scale and offset: one pair for all channels, or one per channel.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::checkpoint) struct Affine {
    pub(super) scale: Vec<f64>,
    pub(super) offset: Vec<f64>,
}

impl Default for Affine {
    fn default() -> Self {
        Self {
            scale: vec![1.0],
            offset: vec![0.0],
        }
    }
}

impl Affine {
    /// Appends an operation with one value, or with one per channel.
    ///
    /// # Errors
    /// If the number of values is neither one nor the number of channels.
    pub(super) fn then(&mut self, operator: Operator, values: &[f64]) -> Result<(), String> {
        for list in [&mut self.scale, &mut self.offset] {
            if let &[one] = list.as_slice() {
                *list = vec![one; values.len()];
            }
        }
        if values.len() != 1 && values.len() != self.scale.len() {
            return Err("has another number of channels".to_string());
        }
        let values = values.iter().cycle();
        let pairs = self.scale.iter_mut().zip(&mut self.offset);
        for ((scale, offset), value) in pairs.zip(values) {
            match operator {
                Operator::Add => *offset += value,
                Operator::Subtract => *offset -= value,
                Operator::Multiply => (*scale, *offset) = (*scale * value, *offset * value),
                Operator::Divide => (*scale, *offset) = (*scale / value, *offset / value),
            }
        }
        Ok(())
    }
}
