//! Dropout of the pooled features.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One factor per feature: 0 if it is dropped, otherwise `1 / keep`. `None` without dropout. The
/// factors depend on the seed and on `draw` only, the number of the shard among the shards of all
/// steps, so a resumed training draws the same.
pub(super) fn draw(seed: u64, draw: u64, keep: f64, features: usize) -> Option<Vec<f32>> {
    if keep >= 1.0 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Its own stream, because the loader uses others of the same seed.
    rng.set_stream(u64::MAX - draw);
    let scale = (1.0 / keep) as f32;
    let factor = |_| {
        if rng.random::<f64>() < keep {
            scale
        } else {
            0.0
        }
    };
    Some((0..features).map(factor).collect())
}
