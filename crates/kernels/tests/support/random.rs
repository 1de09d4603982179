//! Random values, and how many random cases a property has.

use proptest::test_runner::{Config as ProptestConfig, RngSeed};

/// Reproducible values in [-1, 1).
pub(crate) fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// The number of random cases of a property. `PROPTEST_CASES` overrides it for slow machines.
/// WebAssembly has neither variables nor random numbers, so there the cases are always the same.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    if cfg!(target_arch = "wasm32") {
        return ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::with_cases(usual)
        };
    }
    let wanted = std::env::var("PROPTEST_CASES").ok();
    let cases = wanted.and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(usual))
}
