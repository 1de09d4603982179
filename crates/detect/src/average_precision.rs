//! How good detections are: COCO's twelve numbers, as `pycocotools` computes them.
//!
//! ```text
//! image, class, size -> match      each detection, best first, takes the free box that it overlaps most
//! class, size        -> precision  at 101 recalls, for ten overlaps from 0.5 to 0.95
//! mean over classes that have boxes, recalls and overlaps
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::Serialize;

/// A rectangle as COCO's files have it: `[x, y, width, height]`, in pixels.
pub type PixelBox = [f64; 4];

/// A box that is in a photo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrueBox {
    /// Number of the photo.
    pub image: usize,
    /// Class.
    pub class: usize,
    /// Where it is.
    pub bounds: PixelBox,
    /// Pixels of the object, which may be fewer than those of the box.
    pub area: f64,
    /// Whether it is a crowd: detections inside it count neither as right nor as wrong.
    pub crowd: bool,
}

/// A box that was detected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundBox {
    /// Number of the photo.
    pub image: usize,
    /// Class.
    pub class: usize,
    /// Where it is.
    pub bounds: PixelBox,
    /// How sure the detector is.
    pub score: f64,
}

/// COCO's numbers. `None` where no photo has a box of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CocoMetrics {
    /// Average precision: mean over overlaps from 0.5 to 0.95.
    pub ap: Option<f64>,
    /// At an overlap of 0.5.
    pub ap_50: Option<f64>,
    /// At an overlap of 0.75.
    pub ap_75: Option<f64>,
    /// Of boxes below 32 x 32 pixels.
    pub ap_small: Option<f64>,
    /// Of boxes from there to 96 x 96 pixels.
    pub ap_medium: Option<f64>,
    /// Of larger boxes.
    pub ap_large: Option<f64>,
    /// Average recall with one detection in a photo and class.
    pub ar_1: Option<f64>,
    /// With ten.
    pub ar_10: Option<f64>,
    /// With a hundred.
    pub ar_100: Option<f64>,
    /// With a hundred, of small boxes.
    pub ar_small: Option<f64>,
    /// Of medium boxes.
    pub ar_medium: Option<f64>,
    /// Of large boxes.
    pub ar_large: Option<f64>,
}

/// Overlaps at which a detection is right.
const OVERLAPS: usize = 10;
/// Recalls at which precision is read.
const RECALLS: usize = 101;
/// Detections of a photo and class that are looked at.
const MOST: usize = 100;

/// As NumPy's `linspace(0.5, 0.95, 10)`.
fn overlap_of(index: usize) -> f64 {
    const LAST: usize = OVERLAPS - 1;
    match index {
        LAST => 0.95,
        _ => 0.5 + index as f64 * ((0.95 - 0.5) / LAST as f64),
    }
}

/// Areas of all boxes, small ones, medium ones and large ones.
const AREAS: [RangeInclusive<f64>; 4] = {
    const FAR: f64 = 1e10;
    const SMALL: f64 = 32.0 * 32.0;
    const MEDIUM: f64 = 96.0 * 96.0;
    [0.0..=FAR, 0.0..=SMALL, SMALL..=MEDIUM, MEDIUM..=FAR]
};

/// Evaluates detections.
pub fn evaluate(truth: &[TrueBox], found: &[FoundBox]) -> CocoMetrics {
    let mut groups: BTreeMap<(usize, usize), Group> = BTreeMap::new();
    for one in truth {
        let group = groups.entry((one.class, one.image)).or_default();
        group.truth.push(*one);
    }
    for one in found {
        let group = groups.entry((one.class, one.image)).or_default();
        group.found.push(*one);
    }
    for group in groups.values_mut() {
        // Stable: equal scores stay in the caller's order.
        group.found.sort_by(|a, b| b.score.total_cmp(&a.score));
        group.found.truncate(MOST);
    }
    let classes: BTreeSet<usize> = truth.iter().map(|one| one.class).collect();
    let areas = AREAS.map(|area| {
        let of_class = |class: &usize| {
            let images = groups.range((*class, 0)..=(*class, usize::MAX));
            let matches: Vec<Matches> = images.map(|(_, group)| group.matches(&area)).collect();
            // Classes without a box that counts have no precision.
            curves(&matches, MOST).map(|curves| (matches, curves))
        };
        classes.iter().filter_map(of_class).collect::<Vec<_>>()
    });
    let [all, small, medium, large] = &areas;
    let precision = |area: &[(Vec<Matches>, [Curve; OVERLAPS])],
                     overlaps: RangeInclusive<usize>| {
        let curves = area
            .iter()
            .flat_map(|(_, curves)| &curves[overlaps.clone()]);
        mean(curves.flat_map(|curve| curve.precisions.iter().copied()))
    };
    let recall = |area: &[(Vec<Matches>, [Curve; OVERLAPS])], most: usize| {
        let curves = area.iter().filter_map(|(matches, _)| curves(matches, most));
        mean(curves.flatten().map(|curve| curve.recall))
    };
    let every = 0..=OVERLAPS - 1;
    CocoMetrics {
        ap: precision(all, every.clone()),
        ap_50: precision(all, 0..=0),
        ap_75: precision(all, 5..=5),
        ap_small: precision(small, every.clone()),
        ap_medium: precision(medium, every.clone()),
        ap_large: precision(large, every),
        ar_1: recall(all, 1),
        ar_10: recall(all, 10),
        ar_100: recall(all, MOST),
        ar_small: recall(small, MOST),
        ar_medium: recall(medium, MOST),
        ar_large: recall(large, MOST),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// Boxes of one class in one photo.
#[derive(Debug, Default)]
struct Group {
    truth: Vec<TrueBox>,
    /// The best first.
    found: Vec<FoundBox>,
}

/// What became of a detection, for each overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Right,
    Wrong,
    /// It counts neither as right nor as wrong.
    Ignored,
}

/// Detections of one class in one photo.
#[derive(Debug)]
struct Matches {
    /// Number of true boxes that count.
    boxes: usize,
    found: Vec<(f64, [Fate; OVERLAPS])>,
}

impl Group {
    fn matches(&self, area: &RangeInclusive<f64>) -> Matches {
        let ignored = |one: &TrueBox| one.crowd || !area.contains(&one.area);
        // Boxes that count come first.
        let mut truth: Vec<&TrueBox> = self.truth.iter().collect();
        truth.sort_by_key(|one| ignored(one));
        let overlaps: Vec<Vec<f64>> = (self.found.iter())
            .map(|found| {
                truth
                    .iter()
                    .map(|one| overlap_with(found.bounds, one))
                    .collect()
            })
            .collect();
        let counts: Vec<bool> = truth.iter().map(|one| !ignored(one)).collect();
        let fates: [Vec<Fate>; OVERLAPS] = std::array::from_fn(|index| {
            let least = overlap_of(index).min(1.0 - 1e-10);
            self.fates(&truth, &counts, &overlaps, least, area)
        });
        let found = self.found.iter().enumerate();
        let found = found.map(|(number, found)| {
            (
                found.score,
                std::array::from_fn(|index| fates[index][number]),
            )
        });
        Matches {
            boxes: counts.iter().filter(|&&counts| counts).count(),
            found: found.collect(),
        }
    }

    /// What becomes of each detection where a right one overlaps by at least `least`. Of the true
    /// boxes, those that count come first.
    fn fates(
        &self,
        truth: &[&TrueBox],
        counts: &[bool],
        overlaps: &[Vec<f64>],
        least: f64,
        area: &RangeInclusive<f64>,
    ) -> Vec<Fate> {
        let mut taken = vec![false; truth.len()];
        let fates = self.found.iter().zip(overlaps).map(|(found, overlaps)| {
            let mut best: Option<usize> = None;
            let mut least = least;
            for (number, &overlap) in overlaps.iter().enumerate() {
                if taken[number] && !truth[number].crowd {
                    continue;
                }
                // A box that counts is not given up for one that does not.
                if best.is_some_and(|best| counts[best]) && !counts[number] {
                    break;
                }
                if overlap >= least {
                    (best, least) = (Some(number), overlap);
                }
            }
            let [_, _, width, height] = found.bounds;
            match best {
                Some(best) => {
                    taken[best] = true;
                    match counts[best] {
                        true => Fate::Right,
                        false => Fate::Ignored,
                    }
                }
                None if area.contains(&(width * height)) => Fate::Wrong,
                None => Fate::Ignored,
            }
        });
        fates.collect()
    }
}

/// The shared area, divided by that of both, or by the detection's where the true box is a crowd.
fn overlap_with(found: PixelBox, truth: &TrueBox) -> f64 {
    let both = shared_area(found, truth.bounds);
    match truth.crowd {
        true if both > 0.0 => both / (found[2] * found[3]),
        true => 0.0,
        false => overlap(found, truth.bounds),
    }
}

/// The area that two rectangles share, divided by the area that they cover.
pub fn overlap(a: PixelBox, b: PixelBox) -> f64 {
    let both = shared_area(a, b);
    // Without an area, nothing is shared.
    match both > 0.0 {
        true => both / (a[2] * a[3] + b[2] * b[3] - both),
        false => 0.0,
    }
}

fn shared_area(a: PixelBox, b: PixelBox) -> f64 {
    let shared = |axis: usize| {
        let end = (a[axis] + a[axis + 2]).min(b[axis] + b[axis + 2]);
        (end - a[axis].max(b[axis])).max(0.0)
    };
    shared(0) * shared(1)
}

/// Precision at each recall, and the last recall, at one overlap.
#[derive(Debug)]
struct Curve {
    precisions: Vec<f64>,
    recall: f64,
}

/// The curves of a class in all photos, with at most so many detections of each. `None` if no true box
/// counts.
fn curves(photos: &[Matches], most: usize) -> Option<[Curve; OVERLAPS]> {
    let boxes: usize = photos.iter().map(|photo| photo.boxes).sum();
    if boxes == 0 {
        return None;
    }
    let found = photos
        .iter()
        .flat_map(|photo| photo.found.iter().take(most));
    let mut found: Vec<&(f64, [Fate; OVERLAPS])> = found.collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    Some(std::array::from_fn(|index| {
        Curve::new(found.iter().map(|(_, fates)| fates[index]), boxes)
    }))
}

impl Curve {
    /// Of detections, best first.
    fn new(fates: impl Iterator<Item = Fate>, boxes: usize) -> Self {
        let (mut right, mut wrong) = (0u64, 0u64);
        let mut points: Vec<[f64; 2]> = Vec::new();
        for fate in fates {
            match fate {
                Fate::Right => right += 1,
                Fate::Wrong => wrong += 1,
                Fate::Ignored => {}
            }
            let precision = right as f64 / ((right + wrong) as f64 + f64::EPSILON);
            points.push([right as f64 / boxes as f64, precision]);
        }
        // Precision never rises with recall.
        let mut highest = 0.0f64;
        for point in points.iter_mut().rev() {
            highest = highest.max(point[1]);
            point[1] = highest;
        }
        let precisions = (0..RECALLS).map(|recall| {
            let wanted = recall_of(recall);
            let at = points.partition_point(|point| point[0] < wanted);
            points.get(at).map_or(0.0, |point| point[1])
        });
        Self {
            precisions: precisions.collect(),
            recall: points.last().map_or(0.0, |point| point[0]),
        }
    }
}

/// As NumPy's `linspace(0, 1, 101)`.
fn recall_of(index: usize) -> f64 {
    index as f64 * 0.01
}
