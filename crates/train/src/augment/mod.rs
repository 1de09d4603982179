//! Photo -> the pixels of a training step: cropped, resized, mirrored and recoloured at random,
//! after slim's `inception_preprocessing.py`.
//!
//! All random numbers come from the generator that is passed in, so a pixel is a function of the
//! photo and the generator's state.

mod colour;
mod crop;
mod crop_flip;
mod flip;
mod mean_std;
mod resize;

pub use colour::{
    ColourAmounts, ColourOrder, adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation,
};
pub use crop::{CropBox, CropRule, resize_crop};
pub use crop_flip::Border;
pub use mean_std::MeanStd;
pub use resize::ResizeMethod;

use mobilenet_model::preprocess::Photo;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// What happens at random to a photo before the network sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Augmentation {
    /// slim's: [`CropRule::SLIM`], squeezed to the size, mirrored half the time, recoloured.
    Inception {
        /// slim's default. Resizes bilinearly and changes brightness and saturation only; without
        /// it the resize is one of four methods, and hue and contrast change too.
        fast: bool,
        /// In fast mode, brightness always before saturation, as slim's late version has it; its
        /// early version draws one of four orders, of which three have saturation first.
        fixed_order: bool,
    },
    /// The paper's advice for small networks (section 3.2), less distortion by a limit on small
    /// crops: slim's fast mode with [`CropRule::MILD`].
    Mild,
    /// The usual rule for small images: the whole image at the network's size gains a border, is
    /// cut at a random offset, and mirrored half the time.
    CropFlip {
        /// Pixels of the result that are added on each side.
        padding: usize,
        /// What they hold.
        border: Border,
    },
    /// The whole image, squeezed to the size bilinearly.
    None,
}

impl Augmentation {
    /// What slim's training script does by default.
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

/// A random crop, squeezed to the size and mirrored half the time, in units of full white.
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
