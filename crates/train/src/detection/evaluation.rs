//! Evaluates a detector on annotated photos: COCO's numbers and Pascal VOC's.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use mobilenet_detect::average_precision::{CocoMetrics, FoundBox, TrueBox, evaluate as coco};
use mobilenet_detect::voc_precision::{VocMetrics, evaluate as voc};
use mobilenet_detect::{DetectError, DetectorPlan, DetectorWeights, PostProcess, Suppression};

use super::compared::{Compared, Comparison};
use super::mistakes::{Mistakes, mistakes};
use crate::data::annotations::AnnotatedPhotos;
use crate::data::{DataError, Part, Skipped, SkippedList, Tolerance};
use crate::error::TrainError;
use crate::parallel::Communicator;

/// Most detections of a photo, and of a class in it, that COCO's rule looks at.
const MOST: usize = 100;

/// Options of an evaluation.
#[derive(Debug, Clone, Copy)]
pub struct DetectionOptions {
    /// Number of threads, each with a photo of its own.
    pub threads: usize,
    /// Share of photos that may be unusable.
    pub max_skipped_share: f64,
    /// Number of photos with the most mistakes that are kept.
    pub worst: usize,
}

/// The result of an evaluation.
#[derive(Debug)]
pub struct DetectionOutcome {
    /// COCO's twelve numbers.
    pub coco: CocoMetrics,
    /// Pascal VOC's two.
    pub voc: VocMetrics,
    /// The same for each class that has a box.
    pub classes: BTreeMap<usize, VocMetrics>,
    /// Photos that were evaluated.
    pub photos: usize,
    /// True boxes in them.
    pub objects: usize,
    /// Photos with the most mistakes.
    pub worst: Vec<Mistakes>,
    /// Photos that could not be used.
    pub skipped: Vec<Skipped>,
    /// Time from the first photo to the last.
    pub elapsed: Duration,
}

/// For each class of a detector the class of the data, by their names.
///
/// # Errors
/// If no class has the same name. Detectors without names have the data's classes in their order, if
/// there are as many.
pub fn same_classes(
    weights: &DetectorWeights,
    class_names: &[String],
) -> Result<Vec<Option<usize>>, TrainError> {
    let classes = weights.post_process().classes;
    let names: Vec<Option<&str>> = (0..classes)
        .map(|class| weights.names().name(class))
        .collect();
    if names.iter().all(Option::is_none) && classes == class_names.len() {
        return Ok((0..classes).map(Some).collect());
    }
    let same = |name: &Option<&str>| {
        let mut data = class_names.iter();
        name.and_then(|name| data.position(|other| other.eq_ignore_ascii_case(name)))
    };
    let found: Vec<Option<usize>> = names.iter().map(same).collect();
    if found.iter().all(Option::is_none) {
        let known: Vec<&str> = names.iter().flatten().copied().take(5).collect();
        return Err(TrainError::Data(DataError::malformed(
            "the data",
            format!(
                "classes that the detector knows, such as {}",
                known.join(", ")
            ),
            class_names.join(", "),
        )));
    }
    Ok(found)
}

enum Told {
    Compared(Compared),
    Skipped(Skipped),
    Failed(DetectError),
}

/// Evaluates a detector on all photos, which ranks share out. Average precision depends on the order of
/// all scores, so rank 0 hears of all boxes and computes it: it has the outcome.
///
/// # Errors
/// If no class is the same, too many photos are unusable, the network computes what is no number, or a
/// rank cannot be reached.
pub fn evaluate(
    weights: &DetectorWeights,
    data: &AnnotatedPhotos,
    options: &DetectionOptions,
    communicator: &mut dyn Communicator,
    progress: &mut dyn FnMut(),
) -> Result<Option<DetectionOutcome>, TrainError> {
    let part = Part {
        rank: communicator.rank(),
        world: communicator.ranks(),
    };
    let photos = part.of(0..data.len());
    let own = compare(weights, data, photos, options, progress)?;
    let Some(all) = own.of_all(communicator)? else {
        return Ok(None);
    };
    let mut skipped = SkippedList::new(Tolerance::new(data.len(), options.max_skipped_share)?);
    skipped.add(all.skipped)?;
    let compared = || all.photos.iter();
    let mut worst: Vec<Mistakes> = compared()
        .map(|one| mistakes(one.image, &one.truth, &one.found))
        .collect();
    worst.sort_by_key(|one| std::cmp::Reverse(one.count()));
    worst.truncate(options.worst);
    let truth: Vec<TrueBox> = compared()
        .flat_map(|one| one.truth.iter().copied())
        .collect();
    let found: Vec<FoundBox> = compared()
        .flat_map(|one| one.found.iter().copied())
        .collect();
    let difficult = compared().flat_map(|one| one.difficult.iter().copied());
    // What is difficult counts in COCO's rule, and not in VOC's.
    let of_voc = truth.iter().zip(difficult).map(|(one, difficult)| TrueBox {
        crowd: one.crowd || difficult,
        ..*one
    });
    let (mean, classes) = voc(&of_voc.collect::<Vec<_>>(), &found);
    Ok(Some(DetectionOutcome {
        coco: coco(&truth, &found),
        voc: mean,
        classes,
        photos: all.photos.len(),
        objects: truth.len(),
        worst,
        skipped: skipped.as_slice().to_vec(),
        elapsed: all.elapsed,
    }))
}

/// Finds what is in some photos.
fn compare(
    weights: &DetectorWeights,
    data: &AnnotatedPhotos,
    photos: Range<usize>,
    options: &DetectionOptions,
    progress: &mut dyn FnMut(),
) -> Result<Comparison, TrainError> {
    let classes = same_classes(weights, data.class_names())?;
    let start = Instant::now();
    let rule = rule(weights.post_process());
    let threads = options.threads.clamp(1, photos.len().max(1));
    let plans: Vec<DetectorPlan> = (0..threads)
        .map(|_| weights.plan(1))
        .collect::<Result<_, DetectError>>()?;
    let mut skipped = SkippedList::new(Tolerance::new(data.len(), options.max_skipped_share)?);
    let mut compared = Vec::with_capacity(photos.len());
    let (next, end) = (AtomicUsize::new(photos.start), photos.end);
    let work = Work {
        weights,
        data,
        classes: &classes,
        rule: &rule,
        next: &next,
        end,
    };
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        for plan in plans {
            let (work, sender) = (&work, sender.clone());
            scope.spawn(move || work.run(plan, &sender));
        }
        drop(sender);
        let mut outcome = Ok(());
        for told in receiver {
            progress();
            let result = match told {
                Told::Compared(one) => {
                    compared.push(one);
                    Ok(())
                }
                Told::Skipped(one) => skipped.add(vec![one]).map_err(TrainError::Data),
                Told::Failed(error) => Err(TrainError::Detect(error)),
            };
            if result.is_err() && outcome.is_ok() {
                // No more photos.
                next.store(end, Ordering::Relaxed);
                outcome = result;
            }
        }
        outcome
    })?;
    compared.sort_by_key(|one: &Compared| one.image);
    Ok(Comparison {
        photos: compared,
        skipped: skipped.as_slice().to_vec(),
        elapsed: start.elapsed(),
    })
}

/// The weights' own rule with as many detections as COCO's rule looks at.
fn rule(own: &PostProcess) -> PostProcess {
    PostProcess {
        most: MOST,
        suppression: match own.suppression {
            Suppression::BestClass { .. } => own.suppression,
            Suppression::Regular { .. } => Suppression::Regular { per_class: MOST },
            Suppression::PerClass { soft, .. } => Suppression::PerClass {
                per_class: MOST,
                soft,
            },
        },
        ..own.clone()
    }
}

struct Work<'a> {
    weights: &'a DetectorWeights,
    data: &'a AnnotatedPhotos,
    classes: &'a [Option<usize>],
    rule: &'a PostProcess,
    next: &'a AtomicUsize,
    end: usize,
}

impl Work<'_> {
    fn run(&self, mut plan: DetectorPlan, sender: &Sender<Told>) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.end {
                return;
            }
            let told = match self.compare(index, &mut plan) {
                Ok(compared) => Told::Compared(compared),
                Err(TrainError::Detect(error)) => Told::Failed(error),
                Err(error) => Told::Skipped(Skipped {
                    index,
                    name: self.data.name(index),
                    reason: error.to_string(),
                }),
            };
            // The receiver is there until all photos are done.
            drop(sender.send(told));
        }
    }

    fn compare(&self, index: usize, plan: &mut DetectorPlan) -> Result<Compared, TrainError> {
        let photo = self.data.load(index)?;
        let preprocessing = self.weights.preprocessing();
        let pixels = preprocessing.pixels(&photo).map_err(DataError::Photo)?;
        let detections = plan.detect(&pixels, self.rule)?;
        let size = [photo.height(), photo.width()].map(|side| side as usize);
        let [top, left, bottom, right] = preprocessing.resize.region(size, preprocessing.size);
        let annotated = self.data.annotated_size(index, size);
        let found = detections.into_iter().filter_map(|one| {
            let class = self.classes.get(one.class).copied().flatten()?;
            // From shares of what the network sees to pixels of the annotations.
            let corner = |side: usize| {
                let (start, length) = match side % 2 {
                    0 => (top, bottom - top),
                    _ => (left, right - left),
                };
                let share = (start + f64::from(one.bounds[side]) * length) / size[side % 2] as f64;
                share.clamp(0.0, 1.0) * annotated[side % 2] as f64
            };
            Some(FoundBox {
                image: index,
                class,
                bounds: [
                    corner(1),
                    corner(0),
                    corner(3) - corner(1),
                    corner(2) - corner(0),
                ],
                score: f64::from(one.score),
            })
        });
        let objects = self.data.pixels(index, size);
        let truth = objects.iter().map(|object| {
            let [top, left, bottom, right] = object.corners;
            TrueBox {
                image: index,
                class: object.class,
                bounds: [left, top, right - left, bottom - top],
                area: object.area.unwrap_or((right - left) * (bottom - top)),
                crowd: object.crowd,
            }
        });
        Ok(Compared {
            image: index,
            truth: truth.collect(),
            difficult: objects.iter().map(|object| object.difficult).collect(),
            found: found.collect(),
        })
    }
}
