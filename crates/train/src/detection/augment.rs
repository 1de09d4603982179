//! Random changes of photos with boxes: TensorFlow's `ssd_random_crop`, mirrored half the time, and
//! slim's colours.

use mobilenet_detect::bounds::Bounds;
use mobilenet_model::preprocess::Photo;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::augment::{
    ColourAmounts, ColourOrder, CropBox, CropRule, MeanStd, ResizeMethod, draw_mirrored,
    resize_crop,
};
use crate::data::annotations::{Object, ObjectBox};

/// Of each of these, a seventh: how much of an object a crop must contain, and of a box for it to stay.
const COVERED: [f32; 7] = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0];

/// How often a photo is not cropped at all.
const WHOLE: f64 = 0.15;

/// The crops.
const RULE: CropRule = CropRule {
    area: [0.1, 1.0],
    aspect_ratio: [0.5, 2.0],
    // Of objects, not of the photo.
    min_object_covered: 0.0,
    max_attempts: 100,
};

/// Which random changes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectionAugmentation {
    /// Crops.
    pub crop: bool,
    /// Mirrors left to right, half the time.
    pub flip: bool,
    /// Changes brightness and saturation.
    pub colours: bool,
}

impl Default for DetectionAugmentation {
    /// All of them.
    fn default() -> Self {
        Self {
            crop: true,
            flip: true,
            colours: true,
        }
    }
}

impl DetectionAugmentation {
    /// None.
    pub const NONE: Self = Self {
        crop: false,
        flip: false,
        colours: false,
    };

    /// Writes a photo's pixels `[resolution, resolution, 3]`, normalised, and returns the objects that
    /// are in them. Crowds are no objects. `objects` have corners from 0 to 1.
    ///
    /// # Panics
    /// If the photo has no pixels, or `out` has another length.
    pub fn apply(
        &self,
        photo: &Photo,
        objects: &[ObjectBox],
        resolution: usize,
        normalization: &MeanStd,
        rng: &mut ChaCha8Rng,
        out: &mut [f32],
    ) -> Vec<Object> {
        let size = [photo.height() as usize, photo.width() as usize];
        let objects = objects.iter().filter(|object| !object.crowd);
        let objects: Vec<Object> = objects
            .map(|object| (object.class, object.corners.map(|side| side as f32)))
            .filter_map(|(class, bounds)| Some((class, visible(bounds)?)))
            .collect();
        let (crop, mut objects) = match self.crop {
            true => crop(size, &objects, rng),
            false => (CropBox::whole(size[0], size[1]), objects),
        };
        let mirrored = self.flip && draw_mirrored(rng);
        if mirrored {
            for (_, bounds) in &mut objects {
                let [top, left, bottom, right] = *bounds;
                *bounds = [top, 1.0 - right, bottom, 1.0 - left];
            }
        }
        let method = ResizeMethod::Bilinear;
        resize_crop(photo, &crop, method, [resolution; 2], mirrored, out);
        if self.colours {
            ColourOrder::FAST[0].apply(out, &ColourAmounts::draw(rng));
        }
        normalization.apply(out);
        objects
    }
}

/// Draws a crop of a photo of `size` rows and columns, and moves the objects into it. Those of which it
/// contains too little are left out, perhaps all of them.
pub fn crop(
    [rows, columns]: [usize; 2],
    objects: &[Object],
    rng: &mut ChaCha8Rng,
) -> (CropBox, Vec<Object>) {
    let least = COVERED[rng.random_range(0..COVERED.len())];
    let whole = CropBox::whole(rows, columns);
    if rng.random_bool(WHOLE) {
        return (whole, objects.to_vec());
    }
    // Without objects the photo is what must be covered.
    let all = [(0, [0.0, 0.0, 1.0, 1.0])];
    let wanted = if objects.is_empty() { &all } else { objects };
    let covers = |crop: &CropBox| {
        let window = shares(crop, [rows, columns]);
        wanted
            .iter()
            .any(|(_, bounds)| covered(*bounds, window) >= least)
    };
    let crop = RULE.draw_covering(rows, columns, rng, covers);
    let window = shares(&crop, [rows, columns]);
    let [top, left, bottom, right] = window;
    let (height, width) = (bottom - top, right - left);
    let inside = objects.iter().filter(|(_, bounds)| {
        let share = covered(*bounds, window);
        share > 0.0 && share >= least
    });
    let moved = inside.filter_map(|&(class, bounds)| {
        let bounds = [
            (bounds[0] - top) / height,
            (bounds[1] - left) / width,
            (bounds[2] - top) / height,
            (bounds[3] - left) / width,
        ];
        Some((class, visible(bounds)?))
    });
    (crop, moved.collect())
}

fn shares(crop: &CropBox, [rows, columns]: [usize; 2]) -> Bounds {
    let (rows, columns) = (rows as f32, columns as f32);
    [
        crop.top as f32 / rows,
        crop.left as f32 / columns,
        (crop.top + crop.height) as f32 / rows,
        (crop.left + crop.width) as f32 / columns,
    ]
}

/// The share of a box that is in a window.
fn covered(bounds: Bounds, window: Bounds) -> f32 {
    let both = |low: usize, high: usize| {
        (bounds[high].min(window[high]) - bounds[low].max(window[low])).max(0.0)
    };
    let area = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1]);
    if area > 0.0 {
        both(0, 2) * both(1, 3) / area
    } else {
        0.0
    }
}

/// The part inside the image, if it has an area.
fn visible(bounds: Bounds) -> Option<Bounds> {
    let inside = bounds.map(|side| side.clamp(0.0, 1.0));
    (inside[2] > inside[0] && inside[3] > inside[1]).then_some(inside)
}
