//! From a photo to the pixels of a training step: randomly cropped, resized, mirrored and
//! recoloured, after slim's `inception_preprocessing.py`.
//!
//! All random numbers come from the given generator, so pixels depend only on the photo and the
//! generator's state.

mod colour;
mod crop;
mod crop_flip;
mod flip;
mod mean_std;
mod resize;

pub use colour::{
    ColourAmounts, ColourOrder, adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation,
};
pub use flip::draw as draw_mirrored;

pub use crop::{CropBox, CropRule, resize_crop};
pub use crop_flip::Border;
pub use mean_std::MeanStd;
pub use resize::ResizeMethod;

use mobilenet_photos::Photo;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The random changes of a photo before the network sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Augmentation {
    /// slim's: [`CropRule::SLIM`], resized, mirrored half the time, recoloured.
    Inception {
        /// slim's default: resizes bilinearly, and changes only brightness and saturation. Without
        /// it, one of four resize methods is drawn, and hue and contrast change too.
        fast: bool,
        /// In fast mode, whether brightness always changes before saturation, as in slim's late
        /// version. The early version draws one of four orders, of which three have saturation
        /// first.
        fixed_order: bool,
    },
    /// The paper's advice for small networks (section 3.2), to limit small crops for less
    /// distortion: slim's fast mode with [`CropRule::MILD`].
    Mild,
    /// The usual rule for small images: the whole image is resized to the network's size, gets a
    /// border, is cropped at a random offset, and mirrored half the time.
    CropFlip {
        /// Width of the border in pixels of the result.
        padding: usize,
        /// Content of the border.
        border: Border,
    },
    /// No random change: the whole image, resized bilinearly.
    None,
}

impl Augmentation {
    /// The default of slim's training script.
    pub const SLIM: Self = Self::Inception {
        fast: true,
        fixed_order: true,
    };

    /// Writes a photo's pixels `[resolution, resolution, 3]` to `out`, normalised.
    ///
    /// # Panics
    /// If the photo has no pixels, or `out` has another length.
    pub fn apply(
        &self,
        photo: &Photo,
        resolution: usize,
        normalization: &MeanStd,
        rng: &mut ChaCha8Rng,
        out: &mut [f32],
    ) {
        assert!(photo.width() > 0 && photo.height() > 0, "an empty photo");
        assert_eq!(out.len(), resolution * resolution * 3, "length of out");
        match *self {
            Self::Inception { fast, fixed_order } => {
                let method = if fast {
                    ResizeMethod::Bilinear
                } else {
                    ResizeMethod::ALL[rng.random_range(0..ResizeMethod::ALL.len())]
                };
                crop_and_mirror(photo, &CropRule::SLIM, method, resolution, rng, out);
                let case = rng.random_range(0..4);
                let order = match (fast, fixed_order) {
                    (true, true) => ColourOrder::FAST[0],
                    (true, false) => ColourOrder::FAST[case.min(1)],
                    (false, _) => ColourOrder::SLOW[case],
                };
                order.apply(out, &ColourAmounts::draw(rng));
            }
            Self::Mild => {
                let method = ResizeMethod::Bilinear;
                crop_and_mirror(photo, &CropRule::MILD, method, resolution, rng, out);
                ColourOrder::FAST[0].apply(out, &ColourAmounts::draw(rng));
            }
            Self::CropFlip { padding, border } => {
                crop_flip::apply(photo, padding, border, resolution, rng, out);
            }
            Self::None => {
                let whole = CropBox::whole(photo.height() as usize, photo.width() as usize);
                resize_crop(
                    photo,
                    &whole,
                    ResizeMethod::Bilinear,
                    [resolution; 2],
                    false,
                    out,
                );
            }
        }
        normalization.apply(out);
    }
}

/// A random crop, resized and mirrored half the time. In the result, 1 is full white.
fn crop_and_mirror(
    photo: &Photo,
    rule: &CropRule,
    method: ResizeMethod,
    resolution: usize,
    rng: &mut ChaCha8Rng,
    out: &mut [f32],
) {
    let crop = rule.draw(photo.height() as usize, photo.width() as usize, rng);
    let mirrored = flip::draw(rng);
    resize_crop(photo, &crop, method, [resolution; 2], mirrored, out);
}
