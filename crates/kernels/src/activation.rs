//! Activations. NaN stays NaN, so that a broken value is noticed.

use crate::error::KernelError;
use crate::layer::slices::{elementwise, fresh};
use crate::network::Activation;

/// `output = activation(input)`, element by element.
///
/// # Errors
/// If the lengths differ.
pub fn activate(
    input: &[f32],
    activation: Activation,
    output: &mut [f32],
) -> Result<(), KernelError> {
    elementwise::activate(input, activation.bounds(), output.into())
}

/// Like [`activate`], but returns a new vector.
///
/// # Errors
/// If `MOBILENET_ISA` names an instruction set that cannot be used.
pub fn activate_to_vec(input: &[f32], activation: Activation) -> Result<Vec<f32>, KernelError> {
    fresh(input.len(), |output| {
        elementwise::activate(input, activation.bounds(), output)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relu6_clamps_and_keeps_nan() {
        let input = [-1.0, 0.0, 3.5, 6.0, 7.0, f32::NAN, f32::INFINITY];
        let mut output = [0.0; 7];
        activate(&input, Activation::Relu6, &mut output).unwrap();
        assert_eq!(output[..5], [0.0, 0.0, 3.5, 6.0, 6.0]);
        assert!(output[5].is_nan());
        assert_eq!(output[6], 6.0);
    }

    #[test]
    fn any_length_is_as_value_by_value() {
        for length in 0..70 {
            let input: Vec<f32> = (0..length).map(|i| i as f32 - 20.0).collect();
            let expected: Vec<f32> = input.iter().map(|&x| Activation::Relu6.apply(x)).collect();
            assert_eq!(
                activate_to_vec(&input, Activation::Relu6).unwrap(),
                expected
            );
        }
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let error = activate(&[1.0; 3], Activation::Relu, &mut [0.0; 2]).unwrap_err();
        assert_eq!(error.to_string(), "output holds 2 values, expected 3");
    }
}
