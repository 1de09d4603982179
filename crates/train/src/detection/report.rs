//! The report of a detector: numbers, curves, and the photos with the most mistakes.

use std::path::Path;

use mobilenet_detect::average_precision::PixelBox;
use mobilenet_detect::draw::{Label, draw};

use super::evaluation::DetectionOutcome;
use super::mistakes::Mistakes;
use crate::data::annotations::AnnotatedPhotos;
use crate::error::TrainError;
use crate::log::History;
use crate::recipe::Recipe;
use crate::report::detector::{DetectorPage, DrawnPhoto};
use crate::report::settings;

/// The contents of a detector's report.
#[derive(Debug, Clone, Copy)]
pub struct DetectionReport<'a> {
    /// Heading of the page.
    pub title: &'a str,
    /// The settings of its training, if it was trained.
    pub recipe: Option<&'a Recipe>,
    /// The records of its training.
    pub history: &'a History,
    /// Its evaluation.
    pub outcome: &'a DetectionOutcome,
    /// The photos of the evaluation.
    pub data: &'a AnnotatedPhotos,
}

impl DetectionReport<'_> {
    /// Writes the page to a folder. A photo that can no longer be read is left out.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let DetectionOutcome {
            coco,
            voc,
            photos,
            objects,
            ..
        } = self.outcome;
        let figures = [
            ("AP 0.50 to 0.95", coco.ap),
            ("AP at 0.50", coco.ap_50),
            ("AP at 0.75", coco.ap_75),
            ("AP small", coco.ap_small),
            ("AP medium", coco.ap_medium),
            ("AP large", coco.ap_large),
            ("AR, 1 detection", coco.ar_1),
            ("AR, 10", coco.ar_10),
            ("AR, 100", coco.ar_100),
            ("VOC AP", voc.ap),
            ("VOC AP, 11 points", voc.ap_11),
        ];
        let classes = self.outcome.classes.iter();
        let classes = classes.map(|(&class, metrics)| (self.class_name(class), *metrics));
        let bad = self.outcome.worst.iter().filter(|one| one.count() > 0);
        let page = DetectorPage {
            title: self.title,
            figures: &figures,
            counts: [*photos, *objects],
            history: self.history,
            classes: &classes.collect::<Vec<_>>(),
            photos: &bad.filter_map(|one| self.drawn(one)).collect::<Vec<_>>(),
            recipe: &self.recipe.map(settings::settings).unwrap_or_default(),
        };
        page.write(folder)
    }

    fn class_name(&self, class: usize) -> String {
        let name = self.data.class_names().get(class);
        name.map_or_else(|| class.to_string(), Clone::clone)
    }

    /// A photo with what was missed, what was found, and what is wrong.
    fn drawn(&self, mistakes: &Mistakes) -> Option<DrawnPhoto> {
        let mut photo = self.data.load(mistakes.image).ok()?;
        let size = [photo.height(), photo.width()].map(|side| side as usize);
        let annotated = self.data.annotated_size(mistakes.image, size);
        let label = |bounds: PixelBox, class: usize, text: String| {
            let scale = [0, 1].map(|axis| size[axis] as f64 / annotated[axis].max(1) as f64);
            let [left, top, width, height] = bounds;
            let corners = [
                top * scale[0],
                left * scale[1],
                (top + height) * scale[0],
                (left + width) * scale[1],
            ];
            Label {
                bounds: corners.map(|side| side as f32),
                text,
                class,
            }
        };
        let scored = |score: f64| format!("{:.0} %", 100.0 * score);
        let missed = mistakes.missed.iter().map(|one| {
            label(
                one.bounds,
                one.class,
                format!("missed: {}", self.class_name(one.class)),
            )
        });
        let wrong = mistakes.wrong.iter().map(|one| {
            let text = format!(
                "wrong: {} {}",
                self.class_name(one.class),
                scored(one.score)
            );
            label(one.bounds, one.class, text)
        });
        let right = mistakes.right.iter().map(|one| {
            label(
                one.bounds,
                one.class,
                format!("{} {}", self.class_name(one.class), scored(one.score)),
            )
        });
        draw(
            &mut photo,
            &missed.chain(wrong).chain(right).collect::<Vec<_>>(),
        );
        Some(DrawnPhoto {
            name: self.data.name(mistakes.image),
            missed: mistakes.missed.len(),
            wrong: mistakes.wrong.len(),
            width: photo.width(),
            height: photo.height(),
            rgb: photo.into_raw(),
        })
    }
}
