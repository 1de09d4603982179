//! From a network's numbers to detections: decode boxes, choose classes, suppress what overlaps.
//!
//! [`Suppression::BestClass`] and [`Suppression::Regular`] have the results of TFLite's operator
//! `TFLite_Detection_PostProcess`, bit for bit.

use std::ops::ControlFlow;

use crate::anchors::Anchor;
use crate::bounds::{Bounds, area, clipped};
use crate::coder::BoxCoder;
use crate::error::DetectError;
use crate::suppression::{Limits, largest, suppress, suppress_in_classes, suppress_softly};

/// Most classes of a detector.
pub const MOST_CLASSES: usize = 1 << 16;

/// Most detections of a photo.
pub const MOST_DETECTIONS: usize = 1 << 16;

/// Which boxes stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Suppression {
    /// Each box has its best class, and all boxes compete. TFLite's fast rule.
    BestClass {
        /// How often a box that stays is listed: with its best class, the second best, and so on.
        classes: usize,
    },
    /// The boxes of each class compete. TFLite's regular rule.
    Regular {
        /// Most boxes of a class.
        per_class: usize,
    },
    /// As [`Self::Regular`], but only scores above the threshold count, and boxes are clipped to the
    /// image at the end. The rule of TensorFlow's own graphs.
    PerClass {
        /// Most boxes of a class.
        per_class: usize,
        /// Boxes that overlap lose score rather than vanish, by this variance.
        soft: Option<f32>,
    },
}

/// How detections are made of a network's numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct PostProcess {
    /// Number of classes without the background.
    pub classes: usize,
    /// The coder of the boxes.
    pub coder: BoxCoder,
    /// Which boxes stay.
    pub suppression: Suppression,
    /// Least score.
    pub score: f32,
    /// Most overlap with a better box.
    pub overlap: f32,
    /// Most detections.
    pub most: usize,
}

/// A box with its class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// The class, counted without the background.
    pub class: usize,
    /// From 0 to 1.
    pub score: f32,
    /// The box, from 0 to 1 of the image's sides. It may reach beyond the image.
    pub bounds: Bounds,
}

impl PostProcess {
    /// The rule of SSD's TFLite files for a number of classes.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            coder: BoxCoder::default(),
            suppression: Suppression::BestClass { classes: 1 },
            score: 1e-8,
            overlap: 0.6,
            most: 10,
        }
    }

    /// Checks what a file or a caller has set.
    ///
    /// # Errors
    /// Names the setting that is outside its range.
    pub fn check(&self) -> Result<(), DetectError> {
        let count = |what, found: usize, most| match (1..=most).contains(&found) {
            true => Ok(()),
            false => Err(DetectError::Setting {
                setting: what,
                range: "from 1 to 65,536",
                found: found.to_string(),
            }),
        };
        count("the number of classes".into(), self.classes, MOST_CLASSES)?;
        count(
            "the number of detections".into(),
            self.most,
            MOST_DETECTIONS,
        )?;
        let each = match self.suppression {
            Suppression::BestClass { classes } => classes,
            Suppression::Regular { per_class } | Suppression::PerClass { per_class, .. } => {
                per_class
            }
        };
        count(
            "the number of detections of a class or box".into(),
            each,
            MOST_DETECTIONS,
        )?;
        let number = |setting: &str, found: f32, good: bool, range| match good {
            true => Ok(()),
            false => Err(DetectError::Setting {
                setting: setting.to_string(),
                range,
                found: found.to_string(),
            }),
        };
        let (score, most) = (self.score, self.overlap);
        number("the least score", score, score.is_finite(), "finite")?;
        let inside = (0.0..=1.0).contains(&most);
        number("the most overlap", most, inside, "from 0 to 1")?;
        for &scale in &self.coder.scales {
            let good = scale.is_finite() && scale > 0.0;
            number("a scale of the boxes", scale, good, "positive")?;
        }
        if let Suppression::PerClass {
            soft: Some(sigma), ..
        } = self.suppression
        {
            number(
                "the variance of soft suppression",
                sigma,
                sigma > 0.0,
                "positive",
            )?;
        }
        Ok(())
    }

    /// The detections, best first. `encodings` are `[anchors, 4]`, `scores` are
    /// `[anchors, columns]`, from 0 to 1, where the last columns are the classes.
    ///
    /// # Errors
    /// If the lengths do not go together, or a number is NaN.
    pub fn run(
        &self,
        encodings: &[f32],
        scores: &[f32],
        anchors: &[Anchor],
    ) -> Result<Vec<Detection>, DetectError> {
        let (encodings, rest) = encodings.as_chunks::<4>();
        let count = |what, expected, found| match expected == found {
            true => Ok(()),
            false => Err(DetectError::Count {
                what,
                expected,
                found,
            }),
        };
        count("encodings of boxes", anchors.len(), encodings.len())?;
        count("values of the last box", 0, rest.len())?;
        let columns = scores.len() / anchors.len().max(1);
        count("scores", columns * anchors.len(), scores.len())?;
        if columns < self.classes || self.classes == 0 {
            return Err(DetectError::Count {
                what: "scores of a box",
                expected: self.classes,
                found: columns,
            });
        }
        let finite = |values: &[f32]| values.iter().fold(true, |all, value| all & !value.is_nan());
        if !finite(encodings.as_flattened()) || !finite(scores) {
            return Err(DetectError::NotFinite { what: "outputs" });
        }
        let inputs = Inputs {
            rule: self,
            encodings,
            scores,
            columns,
            anchors,
        };
        Ok(match self.suppression {
            Suppression::BestClass { classes } => inputs.by_best_class(classes),
            Suppression::Regular { per_class } => inputs.greedily(&inputs.limits(per_class), Some),
            Suppression::PerClass {
                per_class,
                soft: None,
            } => {
                // A score must be above the threshold.
                let above = Limits {
                    score: self.score.next_up(),
                    ..inputs.limits(per_class)
                };
                inputs.greedily(&above, inside)
            }
            Suppression::PerClass {
                per_class,
                soft: Some(sigma),
            } => inputs.softly(per_class, sigma),
        })
    }
}

struct Inputs<'a> {
    rule: &'a PostProcess,
    encodings: &'a [[f32; 4]],
    scores: &'a [f32],
    columns: usize,
    anchors: &'a [Anchor],
}

impl Inputs<'_> {
    /// Scores of a box's classes.
    fn classes(&self, index: usize) -> &[f32] {
        let background = self.columns - self.rule.classes;
        &self.scores[index * self.columns + background..][..self.rule.classes]
    }

    fn bounds(&self, index: usize) -> Bounds {
        let coder = self.rule.coder;
        coder.decode(self.encodings[index], self.anchors[index])
    }

    fn limits(&self, most: usize) -> Limits {
        Limits {
            score: self.rule.score,
            overlap: self.rule.overlap,
            most,
        }
    }

    fn by_best_class(&self, classes: usize) -> Vec<Detection> {
        let scores = (0..self.anchors.len()).map(|index| largest(self.classes(index)));
        let kept = suppress(scores, |i| self.bounds(i), &self.limits(self.rule.most));
        let listed = kept.into_iter().flat_map(|(index, bounds, _)| {
            let scores = self.classes(index);
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            order.truncate(classes);
            order.into_iter().map(move |class| Detection {
                class,
                score: scores[class],
                bounds,
            })
        });
        listed.collect()
    }

    /// What stays of each class. `finish` makes the last changes to a box, or drops it.
    fn greedily(
        &self,
        limits: &Limits,
        finish: impl Fn(Bounds) -> Option<Bounds>,
    ) -> Vec<Detection> {
        let mut all = Vec::new();
        suppress_in_classes(
            self.anchors.len(),
            |index| self.classes(index),
            |index| self.bounds(index),
            limits,
            |class, bounds, score| {
                all.extend(finish(bounds).map(|bounds| Detection {
                    class,
                    score,
                    bounds,
                }));
                match all.len() == self.rule.most {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            },
        );
        all
    }

    fn softly(&self, per_class: usize, sigma: f32) -> Vec<Detection> {
        let limits = self.limits(per_class);
        let bounds: Vec<Bounds> = (0..self.anchors.len()).map(|i| self.bounds(i)).collect();
        let mut all = Vec::new();
        for class in 0..self.rule.classes {
            let scores = (0..bounds.len()).map(|index| self.classes(index)[class]);
            let kept = suppress_softly(scores, |index| bounds[index], &limits, sigma);
            all.extend(kept.into_iter().filter_map(|(_, bounds, score)| {
                inside(bounds).map(|bounds| Detection {
                    class,
                    score,
                    bounds,
                })
            }));
        }
        // Keeps the order of equal scores.
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        all.truncate(self.rule.most);
        all
    }
}

/// The part of a box inside the image, if there is one.
fn inside(bounds: Bounds) -> Option<Bounds> {
    let inside = clipped(bounds);
    (area(inside) > 0.0).then_some(inside)
}
