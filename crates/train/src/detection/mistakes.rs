//! What a detector got wrong in a photo, as a person would count it.

use mobilenet_detect::average_precision::{FoundBox, TrueBox, overlap};

/// Detections with a lower score are none.
const SCORE: f64 = 0.5;
/// Overlap with an object that a right detection has at least.
const OVERLAP: f64 = 0.5;

/// The mistakes in a photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistakes {
    /// Number of the photo.
    pub image: usize,
    /// Objects that were not found.
    pub missed: Vec<TrueBox>,
    /// Detections where no such object is, or a second time.
    pub wrong: Vec<FoundBox>,
    /// Objects that were found.
    pub right: Vec<FoundBox>,
}

impl Mistakes {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.missed.len() + self.wrong.len()
    }
}

/// Counts the mistakes: each detection, best first, takes the free object of its class that it overlaps
/// most.
pub(super) fn mistakes(image: usize, truth: &[TrueBox], found: &[FoundBox]) -> Mistakes {
    let mut found: Vec<FoundBox> = found
        .iter()
        .copied()
        .filter(|one| one.score >= SCORE)
        .collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut missed: Vec<TrueBox> = truth.iter().copied().filter(|one| !one.crowd).collect();
    let (mut wrong, mut right) = (Vec::new(), Vec::new());
    for one in found {
        let candidates = missed
            .iter()
            .enumerate()
            .filter(|(_, other)| other.class == one.class);
        let candidates =
            candidates.map(|(index, other)| (index, overlap(one.bounds, other.bounds)));
        let best = candidates.max_by(|a, b| a.1.total_cmp(&b.1));
        match best.filter(|(_, overlap)| *overlap >= OVERLAP) {
            Some((index, _)) => {
                missed.remove(index);
                right.push(one);
            }
            None => wrong.push(one),
        }
    }
    Mistakes {
        image,
        missed,
        wrong,
        right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_once() {
        let truth = [(0, 0.0), (0, 50.0), (1, 100.0)].map(|(class, left)| TrueBox {
            image: 3,
            class,
            bounds: [left, 0.0, 20.0, 20.0],
            area: 400.0,
            crowd: false,
        });
        let detections = [
            (0, 1.0, 0.9),
            (0, 2.0, 0.8),
            (0, 101.0, 0.7),
            (1, 100.0, 0.4),
        ];
        let found = detections.map(|(class, left, score)| FoundBox {
            image: 3,
            class,
            bounds: [left, 0.0, 20.0, 20.0],
            score,
        });
        let one = mistakes(3, &truth, &found);
        // A second detection of the first object, one of another class, and one that is not sure.
        assert_eq!(
            (one.right.len(), one.wrong.len(), one.missed.len()),
            (1, 2, 2)
        );
        assert_eq!(one.count(), 4);
        let crowd = TrueBox {
            crowd: true,
            ..truth[0]
        };
        assert_eq!(mistakes(3, &[crowd], &[]).count(), 0);
    }
}
