//! Random brightness, saturation, hue and contrast: slim's `distort_color`, with the arithmetic of
//! TensorFlow's `tf.image.adjust_*` for floats.
//!
//! Images are `[rows, columns, 3]`, where 1 is full white. Nothing is clipped between adjustments.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Largest change of brightness.
const BRIGHTNESS: f32 = 32.0 / 255.0;
/// Largest change of hue, as a part of the circle.
const HUE: f32 = 0.2;
/// Factors of saturation and of contrast.
const FACTORS: std::ops::Range<f32> = 0.5..1.5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adjustment {
    Brightness,
    Saturation,
    Hue,
    Contrast,
}

/// A list of adjustments in the order of their use. The order matters, since no adjustment commutes
/// with all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColourOrder(&'static [Adjustment]);

impl ColourOrder {
    /// Fast mode's orders: brightness first, saturation first.
    pub const FAST: [Self; 2] = [
        Self(&[Adjustment::Brightness, Adjustment::Saturation]),
        Self(&[Adjustment::Saturation, Adjustment::Brightness]),
    ];

    /// slim's `color_ordering` 0 to 3.
    pub const SLOW: [Self; 4] = [
        Self(&[
            Adjustment::Brightness,
            Adjustment::Saturation,
            Adjustment::Hue,
            Adjustment::Contrast,
        ]),
        Self(&[
            Adjustment::Saturation,
            Adjustment::Brightness,
            Adjustment::Contrast,
            Adjustment::Hue,
        ]),
        Self(&[
            Adjustment::Contrast,
            Adjustment::Hue,
            Adjustment::Brightness,
            Adjustment::Saturation,
        ]),
        Self(&[
            Adjustment::Hue,
            Adjustment::Saturation,
            Adjustment::Contrast,
            Adjustment::Brightness,
        ]),
    ];

    /// Recolours an image, one adjustment after another, and clips it to [0, 1] at the end.
    pub fn apply(self, image: &mut [f32], amounts: &ColourAmounts) {
        for adjustment in self.0 {
            match adjustment {
                Adjustment::Brightness => adjust_brightness(image, amounts.brightness),
                Adjustment::Saturation => adjust_saturation(image, amounts.saturation),
                Adjustment::Hue => adjust_hue(image, amounts.hue),
                Adjustment::Contrast => adjust_contrast(image, amounts.contrast),
            }
        }
        for value in image {
            *value = value.clamp(0.0, 1.0);
        }
    }
}

/// By how much each adjustment changes an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColourAmounts {
    /// Added to each value.
    pub brightness: f32,
    /// Factor of the saturation.
    pub saturation: f32,
    /// Added to the hue, as a part of the circle.
    pub hue: f32,
    /// Factor of the contrast.
    pub contrast: f32,
}

impl ColourAmounts {
    /// slim's: uniform within +-32/255, 0.5 to 1.5, +-0.2, and 0.5 to 1.5.
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self {
            brightness: rng.random_range(-BRIGHTNESS..BRIGHTNESS),
            saturation: rng.random_range(FACTORS),
            hue: rng.random_range(-HUE..HUE),
            contrast: rng.random_range(FACTORS),
        }
    }
}

/// Adds `delta` to every value.
pub fn adjust_brightness(image: &mut [f32], delta: f32) {
    for value in image {
        *value += delta;
    }
}

/// Multiplies the distance from each channel's mean over the image.
pub fn adjust_contrast(image: &mut [f32], factor: f32) {
    let (pixels, _) = image.as_chunks_mut::<3>();
    let mut means = [0.0f64; 3];
    for pixel in pixels.iter() {
        for (mean, &value) in means.iter_mut().zip(pixel) {
            *mean += f64::from(value) / pixels.len() as f64;
        }
    }
    let means = means.map(|mean| mean as f32);
    for pixel in pixels {
        for (value, mean) in pixel.iter_mut().zip(means) {
            *value = (*value - mean) * factor + mean;
        }
    }
}

/// Multiplies the saturation (of hue, saturation, value) and clips it to [0, 1].
///
/// Hue and value stay. So each channel's distance from the greatest channel is multiplied by one
/// number: the factor, or less if the least channel would become negative. This needs no hue.
pub fn adjust_saturation(image: &mut [f32], factor: f32) {
    let (pixels, _) = image.as_chunks_mut::<3>();
    for [red, green, blue] in pixels {
        let most = red.max(*green).max(*blue);
        let range = most - red.min(*green).min(*blue);
        let limit = most / range.max(f32::MIN_POSITIVE);
        let scale = limit.min(factor).max(0.0);
        for value in [red, green, blue] {
            *value = most - (most - *value) * scale;
        }
    }
}

/// Adds `delta`, a part of the circle in [-1, 1], to the hue.
pub fn adjust_hue(image: &mut [f32], delta: f32) {
    let (pixels, _) = image.as_chunks_mut::<3>();
    for pixel in pixels {
        let hexcone = Hexcone::of(*pixel);
        let hue = (hexcone.hue + delta * 6.0).rem_euclid(6.0);
        *pixel = Hexcone { hue, ..hexcone }.rgb();
    }
}

/// A colour as its hue, in sixths of the circle from red, and its greatest and least channel.
#[derive(Debug, Clone, Copy)]
struct Hexcone {
    hue: f32,
    most: f32,
    least: f32,
}

impl Hexcone {
    fn of([red, green, blue]: [f32; 3]) -> Self {
        let most = red.max(green).max(blue);
        let least = red.min(green).min(blue);
        let range = most - least;
        let hue = if range <= 0.0 {
            0.0
        } else if most == red {
            ((green - blue) / range).rem_euclid(6.0)
        } else if most == green {
            (blue - red) / range + 2.0
        } else {
            (red - green) / range + 4.0
        };
        Self { hue, most, least }
    }

    fn rgb(self) -> [f32; 3] {
        let Self { hue, most, least } = self;
        let sector = hue as u32;
        let fraction = hue - sector as f32;
        let rising = least + (most - least) * fraction;
        let falling = most - (most - least) * fraction;
        match sector {
            1 => [falling, most, least],
            2 => [least, most, rising],
            3 => [least, falling, most],
            4 => [rising, least, most],
            5 => [most, least, falling],
            // Rounding up a hue just below the full circle gives 6.
            _ => [most, rising, least],
        }
    }
}
