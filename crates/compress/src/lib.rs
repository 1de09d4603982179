//! Trained weights made small.
//!
//! | module | content |
//! |---|---|
//! | [`mod@quantize`] | post-training quantisation: f32 weights and photos -> a network of integers |
//! | [`codes`] | few distinct values, whose codes a file holds compressed |

pub mod codes;
pub mod quantize;
