//! Random crops, by the rule of TensorFlow's `sample_distorted_bounding_box`. As in slim's training
//! scripts, the whole photo is the only object.

use mobilenet_photos::Photo;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::flip;
use super::resize::{Axis, ResizeMethod, resample};

/// A rectangle of a photo, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropBox {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl CropBox {
    /// All of a photo.
    pub fn whole(height: usize, width: usize) -> Self {
        Self {
            top: 0,
            left: 0,
            height,
            width,
        }
    }

    pub(super) fn axes(&self, method: ResizeMethod, [rows, columns]: [usize; 2]) -> [Axis; 2] {
        [
            Axis::new(method, self.top, self.height, rows),
            Axis::new(method, self.left, self.width, columns),
        ]
    }

    pub(super) fn bilinear_axes(&self, size: [usize; 2]) -> [Axis; 2] {
        self.axes(ResizeMethod::Bilinear, size)
    }
}

/// Resizes a part of a photo to `size` (rows, columns), and mirrors it if asked. Writes `[rows,
/// columns, 3]`, where 1 is full white. Cubic interpolation may give values outside 0 to 1.
///
/// # Panics
/// If the part is empty or reaches beyond the photo, or `out` has another length.
pub fn resize_crop(
    photo: &Photo,
    crop: &CropBox,
    method: ResizeMethod,
    size: [usize; 2],
    mirrored: bool,
    out: &mut [f32],
) {
    assert!(crop.height > 0 && crop.width > 0, "an empty crop");
    assert!(crop.top + crop.height <= photo.height() as usize, "crop");
    assert!(crop.left + crop.width <= photo.width() as usize, "crop");
    assert_eq!(out.len(), size[0] * size[1] * 3, "length of out");
    let [rows, mut columns] = crop.axes(method, size);
    if mirrored {
        columns = flip::mirrored(&columns);
    }
    resample(photo, &rows, &columns, out);
}

/// The allowed crops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CropRule {
    /// Least and greatest share of the photo's area.
    pub area: [f32; 2],
    /// Least and greatest width divided by height, in pixels.
    pub aspect_ratio: [f32; 2],
    /// Part of the object, here the photo, that a crop must contain. With 0.1 it overrides slim's
    /// least area of 0.05.
    pub min_object_covered: f32,
    /// Number of attempts before the whole photo is taken instead.
    pub max_attempts: usize,
}

impl CropRule {
    /// slim's `distorted_bounding_box_crop`.
    pub const SLIM: Self = Self {
        area: [0.05, 1.0],
        aspect_ratio: [0.75, 1.33],
        min_object_covered: 0.1,
        max_attempts: 100,
    };

    /// slim's rule without crops of less than a quarter of the photo. The paper limits small crops
    /// (section 3.2) but gives no number. We chose a quarter.
    pub const MILD: Self = Self {
        area: [0.25, 1.0],
        ..Self::SLIM
    };

    /// Draws a crop of a photo. It is the whole photo if no attempt satisfies the rule.
    pub fn draw(&self, height: usize, width: usize, rng: &mut ChaCha8Rng) -> CropBox {
        let covers = |crop: &CropBox| {
            let covered = (crop.height * crop.width) as f32 / (height * width) as f32;
            covered >= self.min_object_covered
        };
        self.draw_covering(height, width, rng, covers)
    }

    /// The same where other objects are to be covered.
    pub fn draw_covering(
        &self,
        height: usize,
        width: usize,
        rng: &mut ChaCha8Rng,
        covers: impl Fn(&CropBox) -> bool,
    ) -> CropBox {
        let [narrowest, widest] = self.aspect_ratio;
        for _ in 0..self.max_attempts {
            let aspect = rng.random::<f32>() * (widest - narrowest) + narrowest;
            if let Some(crop) = self.attempt(height, width, aspect, rng).filter(&covers) {
                return crop;
            }
        }
        CropBox::whole(height, width)
    }

    /// One attempt: the height is uniform in the range that the area allows. The width follows from
    /// the aspect ratio.
    fn attempt(
        &self,
        height: usize,
        width: usize,
        aspect: f32,
        rng: &mut ChaCha8Rng,
    ) -> Option<CropBox> {
        let photo_area = height as f32 * width as f32;
        let [least, greatest] = self.area.map(|share| share * photo_area);
        let columns = |rows: usize| round(rows as f32 * aspect);
        let area = |rows: usize| (rows * columns(rows)) as f32;

        let mut tallest = round((greatest / aspect).sqrt());
        if columns(tallest) > width {
            tallest = ((width as f32 + 0.5 - 1e-7) / aspect) as usize;
            if columns(tallest) > width {
                tallest = tallest.saturating_sub(1);
            }
        }
        let tallest = tallest.min(height);
        let shortest = round((least / aspect).sqrt()).min(tallest);
        let mut rows = rng.random_range(shortest..=tallest);
        // Rounding may have put the area out of bounds by one row.
        if area(rows) < least {
            rows += 1;
        }
        if area(rows) > greatest {
            rows = rows.saturating_sub(1);
        }
        let crop_width = columns(rows);
        let fits = (1..=height).contains(&rows)
            && (1..=width).contains(&crop_width)
            && (least..=greatest).contains(&area(rows));
        fits.then(|| CropBox {
            top: offset(height - rows, rng),
            left: offset(width - crop_width, rng),
            height: rows,
            width: crop_width,
        })
    }
}

/// Draws a first row or column. TensorFlow never draws the last possible one.
fn offset(spare: usize, rng: &mut ChaCha8Rng) -> usize {
    match spare {
        0 => 0,
        spare => rng.random_range(0..spare),
    }
}

/// C's `lrintf`.
fn round(value: f32) -> usize {
    value.round_ties_even() as usize
}
