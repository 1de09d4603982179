//! What each anchor is to predict: TensorFlow's `ArgMaxMatcher` with forced matches.
//!
//! * An anchor belongs to the object that it overlaps most, if by at least the threshold.
//! * Then each object takes the anchor that overlaps it most, however little. If several objects want
//!   an anchor, the first one takes it.
//! * Equal overlaps: the first object, or the first anchor.

use mobilenet_detect::anchors::Anchor;
use mobilenet_detect::bounds::{Bounds, overlap};
use mobilenet_detect::coder::BoxCoder;

use crate::data::annotations::Object;
use crate::error::TrainError;

/// What the anchors of one photo are to predict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targets {
    /// For each anchor the column of its class: 0 for the background, then the classes.
    pub columns: Vec<u32>,
    /// For each anchor the encoding of its object's box; zeros for the background.
    pub encodings: Vec<[f32; 4]>,
}

impl Targets {
    /// Number of anchors with an object.
    pub fn positives(&self) -> usize {
        self.columns.iter().filter(|&&column| column > 0).count()
    }
}

/// The corners of an anchor.
pub fn corners([y, x, height, width]: Anchor) -> Bounds {
    [
        y - height / 2.0,
        x - width / 2.0,
        y + height / 2.0,
        x + width / 2.0,
    ]
}

/// Anchors, and the rule by which they get objects.
#[derive(Debug, Clone)]
pub struct Matcher {
    anchors: Vec<Anchor>,
    corners: Vec<Bounds>,
    coder: BoxCoder,
    overlap: f32,
}

impl Matcher {
    /// A matcher for an object detector's anchors and coder. `overlap` is TensorFlow's 0.5.
    ///
    /// # Errors
    /// If the overlap is not above 0 and at most 1.
    pub fn new(anchors: Vec<Anchor>, coder: BoxCoder, overlap: f32) -> Result<Self, TrainError> {
        if !(overlap > 0.0 && overlap <= 1.0) {
            return Err(TrainError::Setting {
                setting: "the overlap of a match",
                range: "above 0 and at most 1",
                found: overlap.to_string(),
            });
        }
        Ok(Self {
            corners: anchors.iter().copied().map(corners).collect(),
            anchors,
            coder,
            overlap,
        })
    }

    /// The anchors.
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// The coder of the boxes.
    pub fn coder(&self) -> BoxCoder {
        self.coder
    }

    /// The targets for a photo's objects.
    pub fn targets(&self, objects: &[Object]) -> Targets {
        let mut matched: Vec<Option<usize>> = vec![None; self.anchors.len()];
        let mut best = vec![0.0f32; self.anchors.len()];
        let mut forced: Vec<(usize, usize)> = Vec::with_capacity(objects.len());
        for (number, &(_, bounds)) in objects.iter().enumerate() {
            let mut most = (f32::NEG_INFINITY, 0);
            for (index, &anchor) in self.corners.iter().enumerate() {
                let both = overlap(bounds, anchor);
                if both > best[index] && both >= self.overlap {
                    (best[index], matched[index]) = (both, Some(number));
                }
                if both > most.0 {
                    most = (both, index);
                }
            }
            forced.push((most.1, number));
        }
        // The first object last, so that it wins.
        for &(index, number) in forced.iter().rev() {
            if let Some(matched) = matched.get_mut(index) {
                *matched = Some(number);
            }
        }
        let of_anchor = |(matched, &anchor): (Option<usize>, &Anchor)| match matched
            .and_then(|number| objects.get(number))
        {
            Some(&(class, bounds)) => (class as u32 + 1, self.coder.encode(bounds, anchor)),
            None => (0, [0.0; 4]),
        };
        let (columns, encodings) = matched
            .into_iter()
            .zip(&self.anchors)
            .map(of_anchor)
            .unzip();
        Targets { columns, encodings }
    }
}
