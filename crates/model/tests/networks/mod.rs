//! The architecture, its values and gradients, and the networks that it is compared with.

mod beyond_slim;
mod plan;
mod prior_networks;
mod prior_work;
mod reduced_photos;
mod sizes;
mod slim_tests;
mod training_gradients;
mod training_step;
