//! A data set in the class numbers of given weights.

use std::sync::Arc;

use mobilenet_model::labels::{ClassMatch, IMAGENET_CLASSES, Labels, MatchError, match_classes};

use crate::data::{DataError, ImageDataset, Photo};

/// A data set whose classes are those of weights.
pub struct InClassesOf {
    data: Arc<dyn ImageDataset>,
    labels: Vec<usize>,
    class_names: Vec<String>,
    matched: ClassMatch,
    subset: Option<Vec<usize>>,
}

impl InClassesOf {
    /// Matches the names of the classes that have photos with the labels of weights, see
    /// [`match_classes`].
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn new(
        data: Arc<dyn ImageDataset>,
        labels: &Labels,
        classes: usize,
        offset: Option<usize>,
    ) -> Result<Self, MatchError> {
        let of_data = data.class_names();
        let mut used = vec![false; of_data.len()];
        (0..data.len()).for_each(|index| used[data.label(index)] = true);
        let used: Vec<usize> = (0..used.len()).filter(|&class| used[class]).collect();
        let names: Vec<String> = used.iter().map(|&class| of_data[class].clone()).collect();
        let matched = match_classes(&names, labels, classes, offset)?;
        let mut class_of = vec![0; of_data.len()];
        for (&class, &matched) in used.iter().zip(&matched.classes) {
            class_of[class] = matched;
        }
        let name = |class| labels.name(class, classes).map(str::to_string);
        let mut class_names: Vec<String> = (0..classes)
            .map(|class| name(class).unwrap_or_else(|| class.to_string()))
            .collect();
        if *labels == Labels::Unknown {
            // The data's names are better than numbers.
            for (name, &class) in names.into_iter().zip(&matched.classes) {
                class_names[class] = name;
            }
        }
        let mut subset = matched.classes.clone();
        subset.sort_unstable();
        // Nobody has photos of the background class.
        let background = usize::from(
            classes == IMAGENET_CLASSES
                && labels.name(0, classes) == Labels::ImageNet.name(0, classes),
        );
        let whole = subset.iter().filter(|&&class| class >= background).count() + background;
        Ok(Self {
            labels: (0..data.len())
                .map(|index| class_of[data.label(index)])
                .collect(),
            data,
            class_names,
            subset: (whole < classes).then_some(subset),
            matched,
        })
    }

    /// How the names were read.
    pub fn matched(&self) -> &ClassMatch {
        &self.matched
    }

    /// The weights' classes that the data has, in order, if they are not all of them.
    pub fn subset(&self) -> Option<&[usize]> {
        self.subset.as_deref()
    }
}

impl ImageDataset for InClassesOf {
    fn len(&self) -> usize {
        self.data.len()
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn label(&self, index: usize) -> usize {
        self.labels[index]
    }

    fn load(&self, index: usize) -> Result<Photo, DataError> {
        self.data.load(index)
    }

    fn name(&self, index: usize) -> String {
        self.data.name(index)
    }
}
