//! The contents of a report.

use mobilenet_model::explain::Explainer;

use crate::data::ImageDataset;
use crate::log::History;
use crate::metrics::{Evaluation, WrongImage};

/// Most classes in the confusion matrix and in the table of classes. If there are more, those with
/// the most mistakes are shown.
pub(super) const MOST_CLASSES: usize = 40;

/// The contents of a report.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Heading of the page.
    pub title: &'a str,
    /// Settings of the training, by name.
    pub recipe: &'a [(String, String)],
    /// The records of its log.
    pub history: &'a History,
    /// Its last evaluation.
    pub evaluation: &'a Evaluation,
    /// Names of classes by number. A class without a name is shown by its number.
    pub class_names: &'a [String],
    /// Photos to show, worst first.
    pub worst: &'a [WrongPhoto],
}

/// A photo that the network got wrong.
#[derive(Debug, Clone)]
pub struct WrongPhoto {
    /// Its label, its prediction and its loss.
    pub image: WrongImage,
    /// Its name.
    pub name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `[height, width, 3]`.
    pub rgb: Vec<u8>,
    /// The same with what spoke for the prediction drawn over it, if that is known.
    pub explained: Option<Vec<u8>>,
}

impl Report<'_> {
    /// Name of a class, or its number if it has no name.
    pub(super) fn class_name(&self, class: usize) -> String {
        let name = self.class_names.get(class);
        name.map_or_else(|| class.to_string(), Clone::clone)
    }
}

/// The photos with the highest loss, explained by the network if it is given. A photo that can no
/// longer be read is left out.
pub fn worst_photos(
    evaluation: &Evaluation,
    data: &dyn ImageDataset,
    mut network: Option<Explainer>,
) -> Vec<WrongPhoto> {
    let wrong = evaluation.most_wrong().iter();
    wrong
        .filter_map(|&image| {
            let photo = data.load(image.image).ok()?;
            let map = network
                .as_mut()
                .and_then(|network| network.explain(&photo, Some(image.predicted)).ok());
            Some(WrongPhoto {
                image,
                explained: map.map(|map| map.overlay(&photo).into_raw()),
                name: data.name(image.image),
                width: photo.width(),
                height: photo.height(),
                rgb: photo.into_raw(),
            })
        })
        .collect()
}
