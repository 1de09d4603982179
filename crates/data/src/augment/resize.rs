//! TF1's four resize methods (`align_corners=False`, no half-pixel centres), as slim calls them in
//! training.
//!
//! All four are separable. So a method is a list of source positions and weights for each output
//! position along an axis, and [`resample`] applies any two such lists.

use std::sync::LazyLock;

use mobilenet_photos::Photo;

/// TensorFlow's `ResizeMethod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResizeMethod {
    /// Linear interpolation of the two nearest pixels, without antialiasing.
    Bilinear,
    /// The pixel at or before the position.
    Nearest,
    /// Keys' cubic with a = -0.75, by a table of 1024 entries; no antialiasing.
    Bicubic,
    /// The mean of the area that a pixel of the result covers.
    Area,
}

impl ResizeMethod {
    /// In TensorFlow's order, by which slim's slow mode draws one.
    pub const ALL: [Self; 4] = [Self::Bilinear, Self::Nearest, Self::Bicubic, Self::Area];
}

/// Source positions and weights for the positions of one axis of the result.
pub(super) struct Axis {
    /// Position in the photo, and weight.
    taps: Vec<(usize, f32)>,
    /// For each position, the end of its taps.
    ends: Vec<usize>,
}

impl Axis {
    /// Maps `input` positions from `start` on to `output` positions.
    pub(super) fn new(method: ResizeMethod, start: usize, input: usize, output: usize) -> Self {
        let mut axis = Self {
            taps: Vec::with_capacity(2 * output),
            ends: Vec::with_capacity(output),
        };
        let scale = input as f32 / output as f32;
        let last = input as i64 - 1;
        for index in 0..output {
            let source = index as f32 * scale;
            let low = source as i64;
            let mut tap = |position: i64, weight: f32| {
                let position = position.clamp(0, last) as usize;
                axis.taps.push((start + position, weight));
            };
            match method {
                ResizeMethod::Nearest => tap(low, 1.0),
                ResizeMethod::Bicubic => {
                    let fraction = ((source - low as f32) * CUBIC_STEPS as f32).round_ties_even();
                    let near = fraction as usize;
                    let far = CUBIC_STEPS - near;
                    tap(low - 1, CUBIC[near][1]);
                    tap(low, CUBIC[near][0]);
                    tap(low + 1, CUBIC[far][0]);
                    tap(low + 2, CUBIC[far][1]);
                }
                ResizeMethod::Area => {
                    let end = (index + 1) as f32 * scale;
                    for position in low..end.ceil() as i64 {
                        let from = source.max(position as f32);
                        let to = end.min((position + 1) as f32);
                        tap(position, (to - from) / scale);
                    }
                }
                ResizeMethod::Bilinear => {
                    let share = source - low as f32;
                    tap(low, 1.0 - share);
                    if share > 0.0 {
                        tap(low + 1, share);
                    }
                }
            }
            axis.ends.push(axis.taps.len());
        }
        axis
    }

    /// An axis of other positions of this one. `None` is a position without taps, which is black.
    pub(super) fn rearranged(&self, positions: impl Iterator<Item = Option<usize>>) -> Self {
        let mut axis = Self {
            taps: Vec::with_capacity(self.taps.len()),
            ends: Vec::with_capacity(self.ends.len()),
        };
        for position in positions {
            if let Some(position) = position {
                axis.taps.extend_from_slice(self.at(position));
            }
            axis.ends.push(axis.taps.len());
        }
        axis
    }

    /// Number of positions.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn at(&self, position: usize) -> &[(usize, f32)] {
        let start = position
            .checked_sub(1)
            .map_or(0, |before| self.ends[before]);
        &self.taps[start..self.ends[position]]
    }

    /// First position in the photo and the one after the last.
    fn span(&self) -> [usize; 2] {
        let positions = || self.taps.iter().map(|&(position, _)| position);
        let first = positions().min().unwrap_or(0);
        [first, positions().max().map_or(0, |last| last + 1)]
    }
}

/// Applies both axes to a photo. `out` is `[rows, columns, 3]`, where 1 is full white.
pub(super) fn resample(photo: &Photo, rows: &Axis, columns: &Axis, out: &mut [f32]) {
    let samples = photo.as_raw();
    let stride = photo.width() as usize * 3;
    let [first, end] = columns.span();
    // First a row of the result at the photo's width, then its resize to the result's width.
    let mut mixed = vec![0.0; (end - first) * 3];
    for (y, out_row) in out.chunks_exact_mut(columns.len() * 3).enumerate() {
        mixed.fill(0.0);
        for &(row, weight) in rows.at(y) {
            let source = &samples[row * stride..][first * 3..end * 3];
            let weight = weight * (1.0 / 255.0);
            for (sum, &sample) in mixed.iter_mut().zip(source) {
                *sum += weight * f32::from(sample);
            }
        }
        let (mixed, _) = mixed.as_chunks::<3>();
        let (out_row, _) = out_row.as_chunks_mut::<3>();
        for (x, pixel) in out_row.iter_mut().enumerate() {
            let mut sum = [0.0; 3];
            for &(column, weight) in columns.at(x) {
                for (sum, value) in sum.iter_mut().zip(mixed[column - first]) {
                    *sum += weight * value;
                }
            }
            *pixel = sum;
        }
    }
}

const CUBIC_STEPS: usize = 1024;

/// Weights of the near and of the far neighbour, for each distance in steps.
static CUBIC: LazyLock<Vec<[f32; 2]>> = LazyLock::new(|| {
    const A: f32 = -0.75;
    let entry = |step: usize| {
        let near = step as f32 / CUBIC_STEPS as f32;
        let far = near + 1.0;
        [
            ((A + 2.0) * near - (A + 3.0)) * near * near + 1.0,
            ((A * far - 5.0 * A) * far + 8.0 * A) * far - 4.0 * A,
        ]
    };
    (0..=CUBIC_STEPS).map(entry).collect()
});
