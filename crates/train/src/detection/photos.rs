//! Annotated photos as a training reads them.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use super::augment::DetectionAugmentation;
use crate::data::annotations::AnnotatedPhotos;
use crate::data::{Answer, DataError, LoaderConfig, TrainingPhotos, not_empty};

/// Photos with boxes, changed at random.
pub(super) struct DetectionPhotos {
    pub(super) data: Arc<AnnotatedPhotos>,
    pub(super) augmentation: DetectionAugmentation,
}

impl TrainingPhotos for DetectionPhotos {
    fn count(&self) -> usize {
        self.data.len()
    }

    fn name(&self, index: usize) -> String {
        self.data.name(index)
    }

    fn make(
        &self,
        index: usize,
        config: &LoaderConfig,
        rng: &mut ChaCha8Rng,
        out: &mut [f32],
    ) -> Result<Answer, DataError> {
        let photo = self.data.load(index)?;
        not_empty(&photo, || self.data.name(index))?;
        let size = [photo.height(), photo.width()].map(|side| side as usize);
        let objects = self.data.shares(index, size);
        let (resolution, normalization) = (config.resolution, &config.normalization);
        let augmentation = self.augmentation;
        let objects = augmentation.apply(&photo, &objects, resolution, normalization, rng, out);
        Ok(Answer::Objects(objects))
    }
}
