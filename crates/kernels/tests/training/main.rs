//! What training needs: single kernels, gradients, networks in training, fake quantisation, against
//! the naive reference and other frameworks.

#[path = "../support/instruction_sets.rs"]
mod instruction_sets;
#[path = "../support/random.rs"]
mod random;
#[path = "../support/windows.rs"]
mod windows;

mod fake_quantization;
mod gradients;
mod gradients_golden;
mod gradients_of_reference;
mod maps;
mod quantized_steps;
mod reference_steps;
mod single_kernels;
mod steps;
