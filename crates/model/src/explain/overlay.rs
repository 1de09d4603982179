//! An activation map drawn over its photo.

use super::ActivationMap;
use crate::preprocess::Photo;

/// Brightness of what does not speak for the class.
const DIM: f32 = 0.45;

/// Opacity of the colour where the map is largest.
const OPACITY: f32 = 0.6;

impl ActivationMap {
    /// The photo with what speaks for the class in red to yellow, and the rest darkened. Parts that
    /// speak against the class are drawn as those that say nothing.
    pub fn overlay(&self, photo: &Photo) -> Photo {
        let largest = self.values.iter().copied().fold(0.0, f32::max);
        let scale = if largest > 0.0 { 1.0 / largest } else { 0.0 };
        let mut drawn = photo.clone();
        for (x, y, pixel) in drawn.enumerate_pixels_mut() {
            let heat = self.at(f64::from(y) + 0.5, f64::from(x) + 0.5) * scale;
            pixel.0 = blend(pixel.0, heat.clamp(0.0, 1.0));
        }
        drawn
    }

    /// The map at a point of the photo, interpolated between the centres of its pixels; 0 outside
    /// its region.
    fn at(&self, y: f64, x: f64) -> f32 {
        let [top, left, bottom, right] = self.region;
        let [rows, columns] = self.size;
        if !(top..bottom).contains(&y) || !(left..right).contains(&x) {
            return 0.0;
        }
        let (y0, y1, fy) = neighbours((y - top) / (bottom - top), rows);
        let (x0, x1, fx) = neighbours((x - left) / (right - left), columns);
        let value = |y: usize, x: usize| self.values[y * columns + x];
        let mix = |a: f32, b: f32, part: f32| a + (b - a) * part;
        let upper = mix(value(y0, x0), value(y0, x1), fx);
        let lower = mix(value(y1, x0), value(y1, x1), fx);
        mix(upper, lower, fy)
    }
}

/// The two pixels around a position from 0 to 1, and the weight of the second.
fn neighbours(position: f64, count: usize) -> (usize, usize, f32) {
    let centre = (position * count as f64 - 0.5).clamp(0.0, count as f64 - 1.0);
    let first = centre as usize;
    let second = (first + 1).min(count - 1);
    (first, second, (centre - first as f64) as f32)
}

/// A pixel under a heat from 0 to 1.
fn blend(pixel: [u8; 3], heat: f32) -> [u8; 3] {
    let colour = [255.0, 255.0 * (2.0 * heat - 1.0).max(0.0), 0.0];
    let brightness = DIM + (1.0 - DIM) * heat;
    let opacity = OPACITY * heat;
    let mut mixed = [0; 3];
    for ((mixed, value), colour) in mixed.iter_mut().zip(pixel).zip(colour) {
        let value = f32::from(value) * brightness;
        *mixed = (value + (colour - value) * opacity) as u8;
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prediction::Prediction;

    fn map(values: Vec<f32>, size: [usize; 2], region: [f64; 4]) -> ActivationMap {
        ActivationMap {
            prediction: Prediction {
                class: 0,
                label: None,
                probability: 1.0,
            },
            size,
            values,
            region,
        }
    }

    #[test]
    fn the_warmest_part_is_where_the_map_is_largest() {
        let photo = Photo::from_pixel(40, 20, [100; 3].into());
        // The right half of the photo, whose lower part speaks for the class.
        let map = map(vec![-1.0, 2.0], [2, 1], [0.0, 20.0, 20.0, 40.0]);
        let drawn = map.overlay(&photo);
        let red = |x, y| drawn.get_pixel(x, y)[0];
        assert_eq!(red(5, 19), 45, "outside: darkened");
        assert_eq!(red(30, 0), 45, "speaks against");
        assert!(red(30, 10) > 45 && red(30, 10) < red(30, 19));
        assert_eq!(drawn.get_pixel(30, 19)[1], 193);
    }

    #[test]
    fn a_map_of_nothing_is_no_division_by_zero() {
        let photo = Photo::from_pixel(3, 3, [10; 3].into());
        let drawn = map(vec![0.0], [1, 1], [0.0, 0.0, 3.0, 3.0]).overlay(&photo);
        assert_eq!(drawn.get_pixel(1, 1), &[4; 3].into());
    }
}
