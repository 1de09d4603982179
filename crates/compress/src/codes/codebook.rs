//! What the symbols of a layer mean: a scale for each output channel, and integers or a palette.

use half::bf16;

use super::k_means::k_means;
use super::layer_bits::{small, spread};
use super::options::{CompressOptions, Method};
use mobilenet_model::checkpoint::Levels;

/// The step at which a normal distribution of deviation 1 takes 0 bits: `sqrt(2 pi e)`. Each bit
/// halves it.
const STEP_OF_NO_BITS: f64 = 4.132_731_354;

/// Scales and levels of a layer.
pub(super) struct Codebook {
    pub(super) levels: Levels,
    /// One for each filter, exact in bf16.
    pub(super) scales: Vec<f32>,
    /// The largest integer.
    most: f64,
}

impl Codebook {
    /// A codebook for each of a network's coded layers: their weights, and how many of them a filter
    /// has.
    pub(super) fn of_layers(layers: &[(&[f32], usize)], options: &CompressOptions) -> Vec<Self> {
        let counts: Vec<usize> = layers.iter().map(|(weights, _)| weights.len()).collect();
        let bits = options.bits.map(|mean| spread(&counts, mean));
        let layers = layers.iter().zip(small(&counts)).enumerate();
        let books = layers.map(|(index, ((weights, filter_len), small))| {
            let filters = weights.chunks((*filter_len).max(1));
            let bits = bits.as_ref().and_then(|bits| bits.get(index).copied());
            match options.method {
                Method::Palette(bits) if !small => Self::palette(filters, 1 << bits),
                Method::Integers(width) if !small => {
                    Self::integers(filters, ((1 << (width - 1)) - 1) as u8, bits)
                }
                Method::Palette(_) | Method::Integers(_) => Self::integers(filters, 127, bits),
            }
        });
        books.collect()
    }

    /// Integers up to `most`, whose steps cover the largest weight of each filter, or are as coarse
    /// as `bits` a weight need.
    pub(super) fn integers<'a>(
        filters: impl Iterator<Item = &'a [f32]>,
        most: u8,
        bits: Option<f64>,
    ) -> Self {
        let step = |filter: &[f32]| {
            let largest = filter.iter().fold(0f32, |most, w| most.max(w.abs()));
            let covering = f64::from(largest) / f64::from(most);
            let coarse = bits.map_or(0.0, |bits| {
                deviation(filter) * STEP_OF_NO_BITS / bits.exp2()
            });
            usable(covering.max(coarse))
        };
        Self {
            scales: filters.map(step).collect(),
            levels: Levels::Integers { zero: most },
            most: f64::from(most),
        }
    }

    /// A palette of `count` values, of which each filter has multiples by its deviation.
    pub(super) fn palette<'a>(
        filters: impl Iterator<Item = &'a [f32]> + Clone,
        count: usize,
    ) -> Self {
        let scales: Vec<f32> = filters
            .clone()
            .map(|filter| usable(deviation(filter)))
            .collect();
        let relative = filters.zip(&scales);
        let relative = relative.flat_map(|(filter, scale)| filter.iter().map(move |w| w / scale));
        Self {
            levels: Levels::Palette(k_means(relative.collect(), count)),
            scales,
            most: 0.0,
        }
    }

    /// The symbol nearest to a value in units of the scale, and what it means.
    pub(super) fn nearest(&self, value: f64) -> (u8, f64) {
        match &self.levels {
            Levels::Integers { zero } => {
                let integer = value.round().clamp(-self.most, self.most);
                ((integer + f64::from(*zero)) as u8, integer)
            }
            Levels::Palette(palette) => {
                let after = palette.partition_point(|&level| f64::from(level) < value);
                let candidates = [after.saturating_sub(1), after];
                let distance = |index: usize| {
                    let level = palette.get(index).map(|&level| f64::from(level));
                    level.map(|level| (index, level, (level - value).abs()))
                };
                let found = candidates.into_iter().filter_map(distance);
                let nearest = found.min_by(|a, b| a.2.total_cmp(&b.2));
                nearest.map_or((0, 0.0), |(index, level, _)| (index as u8, level))
            }
        }
    }
}

/// Root of the mean square.
fn deviation(filter: &[f32]) -> f64 {
    let squares: f64 = filter.iter().map(|&w| f64::from(w).powi(2)).sum();
    (squares / filter.len().max(1) as f64).sqrt()
}

/// A scale as bf16 holds it. A filter of zeros has any.
fn usable(scale: f64) -> f32 {
    let scale = bf16::from_f64(scale).to_f32();
    if scale > 0.0 && scale.is_finite() {
        scale
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_cover_the_largest_weight_or_take_the_bits() {
        let filters = [[0.5f32, -1.27, 0.0], [0.0; 3]];
        let filters = || filters.iter().map(|filter| &filter[..]);
        let whole = Codebook::integers(filters(), 127, None);
        assert!((whole.scales[0] / 0.01 - 1.0).abs() < 0.01 && whole.scales[1] == 1.0);
        assert_eq!(whole.nearest(-300.0), (0, -127.0));
        assert_eq!(whole.nearest(0.4), (127, 0.0));
        let coarse = Codebook::integers(filters(), 127, Some(3.0));
        assert!((coarse.scales[0] / (0.788 * 4.133 / 8.0) - 1.0).abs() < 0.01);
        let narrow = Codebook::integers(filters(), 7, Some(8.0));
        assert!((narrow.scales[0] / (1.27 / 7.0) - 1.0).abs() < 0.01);
    }

    #[test]
    fn a_palette_serves_filters_of_all_sizes() {
        let filters = [[1.0f32, -1.0, 2.0, -2.0], [0.01, -0.01, 0.02, -0.02]];
        let book = Codebook::palette(filters.iter().map(|filter| &filter[..]), 4);
        let Levels::Palette(palette) = &book.levels else {
            panic!("no palette");
        };
        assert_eq!(palette.len(), 4);
        for (filter, scale) in filters.iter().zip(&book.scales) {
            for &weight in filter {
                let (symbol, value) = book.nearest(f64::from(weight / scale));
                assert!((value as f32 * scale / weight - 1.0).abs() < 0.01);
                assert_eq!(palette[usize::from(symbol)], value as f32);
            }
        }
    }
}
