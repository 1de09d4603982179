//! A photo on its way to the network's input. Its rows come in strips, so that no more than a strip
//! of a large photo is in the module's memory, which can grow but never shrink.

use crate::error::{WebError, check_size};
use crate::filter::{Filter, Taps, rounded};
use crate::rule::{LONGEST_SIDE, Resize, Rule, central, edges, fitting};

/// A photo whose rows are coming.
#[derive(Debug)]
pub(crate) struct Photo {
    width: usize,
    height: usize,
    channels: usize,
    /// Rows of the result.
    rows: usize,
    /// Rows that have come.
    next: usize,
    way: Way,
    /// One row of the photo, `[width, channels]`.
    row: Vec<u8>,
}

#[derive(Debug)]
enum Way {
    /// TensorFlow's bilinear interpolation, of f32.
    Interpolate {
        rows: Vec<Between>,
        columns: Vec<Between>,
        /// A row of the photo, interpolated.
        line: Vec<f32>,
        /// The result in units of full white; the upper rows until the lower ones have come.
        result: Vec<f32>,
    },
    /// Pillow's filters, of 8 bits: along rows when they come, along columns at the end.
    Filter {
        columns: Taps,
        down: Taps,
        /// `[height, columns of the result, channels]`.
        narrowed: Vec<u8>,
    },
}

/// Two input indices and the weight of the second.
#[derive(Debug, Clone, Copy)]
struct Between {
    low: usize,
    high: usize,
    share: f32,
}

impl Photo {
    /// Prepares for a photo that becomes `size` (rows, columns) by a rule.
    pub(crate) fn new(
        rule: &Rule,
        [height, width]: [usize; 2],
        size: [usize; 2],
    ) -> Result<Self, WebError> {
        check_size("the photo's height", height, LONGEST_SIDE)?;
        check_size("the photo's width", width, LONGEST_SIDE)?;
        let channels = rule.mean.len();
        let way = match rule.resize {
            Resize::CentralCrop(fraction) => Way::Interpolate {
                rows: between(central(height, fraction), size[0]),
                columns: between(central(width, fraction), size[1]),
                line: vec![0.0; size[1] * channels],
                result: vec![0.0; size[0] * size[1] * channels],
            },
            Resize::Squeeze(filter) => {
                Way::filter(filter, [height, width], size, [0, 0], size, channels)
            }
            Resize::LongestEdge(filter) => {
                let inner = fitting([height, width], size);
                Way::filter(filter, [height, width], inner, [0, 0], size, channels)
            }
            Resize::ShortestEdge {
                edge,
                filter,
                to_even,
            } => {
                let whole = edges([height, width], edge, size);
                let spare = [0, 1].map(|axis| whole[axis].checked_sub(size[axis]));
                let [Some(down), Some(right)] = spare else {
                    return Err(WebError::Order("the short edge is less than the crop"));
                };
                if whole[0].max(whole[1]) > LONGEST_SIDE {
                    return Err(WebError::Order("the photo is too narrow"));
                }
                let offset = |spare: usize| spare / 2 + usize::from(to_even && spare % 4 == 3);
                let corner = [offset(down), offset(right)];
                Way::filter(filter, [height, width], whole, corner, size, channels)
            }
        };
        Ok(Self {
            width,
            height,
            channels,
            rows: size[0],
            next: 0,
            way,
            row: vec![0; width * channels],
        })
    }

    /// Takes the next rows, `[rows, width, 4]`: red, green, blue, opacity.
    pub(crate) fn rows(&mut self, rgba: &[u8]) -> Result<(), WebError> {
        if rgba.len() / (4 * self.width) > self.height - self.next {
            return Err(WebError::Order("the photo has fewer rows"));
        }
        for line in rgba.chunks_exact(4 * self.width) {
            let pixels = line.as_chunks::<4>().0;
            match self.channels {
                1 => {
                    for (to, &[r, g, b, _]) in self.row.iter_mut().zip(pixels) {
                        *to = grey(r, g, b);
                    }
                }
                _ => {
                    for (to, &[r, g, b, _]) in self.row.as_chunks_mut().0.iter_mut().zip(pixels) {
                        *to = [r, g, b];
                    }
                }
            }
            self.way.take(&self.row, self.next, self.channels);
            self.next += 1;
        }
        Ok(())
    }

    /// Writes the normalised result, `[rows, columns, channels]`.
    pub(crate) fn finish(self, rule: &Rule, to: &mut [f32]) -> Result<(), WebError> {
        if self.next < self.height {
            return Err(WebError::Order("rows of the photo are missing"));
        }
        match self.way {
            Way::Interpolate { result, .. } => to.copy_from_slice(&result),
            Way::Filter { down, narrowed, .. } => {
                let line = to.len() / self.rows.max(1);
                for ((start, weights), to) in down.iter().zip(to.chunks_exact_mut(line.max(1))) {
                    to.fill(0.0);
                    let rows = narrowed.chunks_exact(line.max(1)).skip(start);
                    for (row, weight) in rows.zip(weights) {
                        for (to, &value) in to.iter_mut().zip(row) {
                            *to += f32::from(value) * weight;
                        }
                    }
                    for to in to {
                        *to = f32::from(rounded(*to)) / 255.0;
                    }
                }
            }
        }
        for pixel in to.chunks_exact_mut(self.channels) {
            for ((value, mean), std) in pixel.iter_mut().zip(&rule.mean).zip(&rule.std) {
                *value = (*value - mean) / std;
            }
        }
        Ok(())
    }
}

impl Way {
    /// A photo that becomes `whole`, of which `size` from `corner` on is wanted.
    fn filter(
        filter: Filter,
        photo: [usize; 2],
        whole: [usize; 2],
        corner: [usize; 2],
        size: [usize; 2],
        channels: usize,
    ) -> Self {
        Self::Filter {
            columns: Taps::new(filter, photo[1], whole[1], corner[1], size[1]),
            down: Taps::new(filter, photo[0], whole[0], corner[0], size[0]),
            narrowed: Vec::with_capacity(photo[0] * size[1] * channels),
        }
    }

    /// Takes row `y`.
    fn take(&mut self, row: &[u8], y: usize, channels: usize) {
        match self {
            Self::Interpolate {
                rows,
                columns,
                line,
                result,
            } => {
                let length = line.len();
                let is_wanted = |rows: &Between| rows.low == y || rows.high == y;
                let mut is_made = false;
                let wanted = rows.iter().zip(result.chunks_exact_mut(length.max(1)));
                for (rows, to) in wanted.filter(|(rows, _)| is_wanted(rows)) {
                    if !is_made {
                        interpolate(row, columns, channels, line);
                        is_made = true;
                    }
                    if rows.low == y {
                        to.copy_from_slice(line);
                    }
                    if rows.high == y {
                        for (to, lower) in to.iter_mut().zip(&*line) {
                            *to += (lower - *to) * rows.share;
                        }
                    }
                }
            }
            Self::Filter {
                columns, narrowed, ..
            } => match channels {
                3 => narrow::<3>(row, columns, narrowed),
                _ => narrow::<1>(row, columns, narrowed),
            },
        }
    }
}

/// Resizes a row along itself.
fn narrow<const CHANNELS: usize>(row: &[u8], columns: &Taps, to: &mut Vec<u8>) {
    let pixels = row.as_chunks::<CHANNELS>().0;
    for (start, weights) in columns.iter() {
        let mut sums = [0.0f32; CHANNELS];
        for (pixel, weight) in pixels.iter().skip(start).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += f32::from(value) * weight;
            }
        }
        to.extend(sums.map(rounded));
    }
}

/// Interpolates along a row.
fn interpolate(row: &[u8], columns: &[Between], channels: usize, to: &mut [f32]) {
    let value = |x: usize, c: usize| f32::from(row[x * channels + c]) * (1.0 / 255.0);
    for (to, column) in to.chunks_exact_mut(channels).zip(columns) {
        for (c, to) in to.iter_mut().enumerate() {
            let (low, high) = (value(column.low, c), value(column.high, c));
            *to = low + (high - low) * column.share;
        }
    }
}

/// TF1's `resize_bilinear`: `source = output * (input size / output size)`, in f32.
fn between((start, input): (usize, usize), output: usize) -> Vec<Between> {
    let scale = input as f32 / output as f32;
    let taps = (0..output).map(|index| {
        let source = index as f32 * scale;
        let low = (source as usize).min(input.saturating_sub(1));
        Between {
            low: start + low,
            high: start + (low + 1).min(input.saturating_sub(1)),
            share: source - low as f32,
        }
    });
    taps.collect()
}

/// The brightness of a pixel, by the weights of the native decoder.
fn grey(r: u8, g: u8, b: u8) -> u8 {
    let sum = 2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b);
    (sum / 10_000) as u8
}
