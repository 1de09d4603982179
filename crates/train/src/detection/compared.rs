//! What was found in photos, and what is there, of one rank or of all.

use std::time::Duration;

use mobilenet_detect::average_precision::{FoundBox, TrueBox};
use serde::{Deserialize, Serialize};

use crate::data::Skipped;
use crate::error::TrainError;
use crate::parallel::{Communicator, gather_on_first};

/// One photo.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compared {
    pub(super) image: usize,
    pub(super) truth: Vec<TrueBox>,
    /// Of each true box, whether it is hard to recognise.
    pub(super) difficult: Vec<bool>,
    pub(super) found: Vec<FoundBox>,
}

/// Some photos, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    pub(super) photos: Vec<Compared>,
    /// Photos that could not be used.
    pub(super) skipped: Vec<Skipped>,
    /// Time from the first photo to the last.
    pub(super) elapsed: Duration,
}

/// A message with a [`Comparison`].
#[derive(Serialize, Deserialize)]
struct Message {
    photos: Vec<Boxes>,
    skipped: Vec<Skipped>,
    elapsed: Duration,
}

/// Boxes of a photo as bits of numbers, because JSON rounds.
#[derive(Serialize, Deserialize)]
struct Boxes {
    image: usize,
    /// Class, bounds, area, and 0 or 1: whether it is a crowd, and whether it is difficult.
    truth: Vec<[u64; 8]>,
    /// Class, bounds, score.
    found: Vec<[u64; 6]>,
}

impl Comparison {
    /// The photos of all ranks, on rank 0, in the order of one rank.
    pub(super) fn of_all(
        mut self,
        communicator: &mut dyn Communicator,
    ) -> Result<Option<Self>, TrainError> {
        if communicator.ranks() == 1 {
            return Ok(Some(self));
        }
        let own = Message {
            photos: self.photos.iter().map(Boxes::of).collect(),
            skipped: self.skipped.clone(),
            elapsed: self.elapsed,
        };
        let own = serde_json::to_vec(&own).map_err(TrainError::message)?;
        let Some(parts) = gather_on_first(communicator, own)? else {
            return Ok(None);
        };
        for part in parts.iter().skip(1) {
            let part: Message = serde_json::from_slice(part).map_err(TrainError::message)?;
            self.photos
                .extend(part.photos.into_iter().map(Boxes::compared));
            self.skipped.extend(part.skipped);
            self.elapsed = self.elapsed.max(part.elapsed);
        }
        Ok(Some(self))
    }
}

impl Boxes {
    fn of(photo: &Compared) -> Self {
        let truth = photo.truth.iter().zip(&photo.difficult);
        let truth = truth.map(|(one, difficult)| {
            let [a, b, c, d] = one.bounds.map(f64::to_bits);
            let flags = [one.crowd, *difficult].map(u64::from);
            let area = one.area.to_bits();
            [one.class as u64, a, b, c, d, area, flags[0], flags[1]]
        });
        let found = photo.found.iter().map(|one| {
            let [a, b, c, d] = one.bounds.map(f64::to_bits);
            [one.class as u64, a, b, c, d, one.score.to_bits()]
        });
        Self {
            image: photo.image,
            truth: truth.collect(),
            found: found.collect(),
        }
    }

    fn compared(self) -> Compared {
        let image = self.image;
        let truth = self.truth.iter();
        let truth = truth.map(|&[class, a, b, c, d, area, crowd, _]| TrueBox {
            image,
            class: class as usize,
            bounds: [a, b, c, d].map(f64::from_bits),
            area: f64::from_bits(area),
            crowd: crowd == 1,
        });
        let found = self.found.iter();
        let found = found.map(|&[class, a, b, c, d, score]| FoundBox {
            image,
            class: class as usize,
            bounds: [a, b, c, d].map(f64::from_bits),
            score: f64::from_bits(score),
        });
        Compared {
            image,
            truth: truth.collect(),
            difficult: self.truth.iter().map(|one| one[7] == 1).collect(),
            found: found.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::thread_ranks;

    #[test]
    fn rank_0_hears_of_all_boxes() {
        // Numbers that no decimal has.
        let photo = |image: usize| Compared {
            image,
            truth: vec![TrueBox {
                image,
                class: 2,
                bounds: [1.0 / 3.0, 0.1 + 0.2, 1e-300, f64::MAX],
                area: f64::MIN_POSITIVE,
                crowd: image == 1,
            }],
            difficult: vec![image == 0],
            found: vec![
                FoundBox {
                    image,
                    class: 1,
                    bounds: [2.0 / 3.0; 4],
                    score: f64::from(0.1f32),
                };
                image
            ],
        };
        let part = |rank: usize| Comparison {
            photos: vec![photo(2 * rank), photo(2 * rank + 1)],
            skipped: Vec::new(),
            elapsed: Duration::from_nanos(rank as u64),
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let start = |(number, mut rank)| scope.spawn(move || part(number).of_all(&mut rank));
            let ranks = thread_ranks(2).into_iter().enumerate();
            let threads: Vec<_> = ranks.map(start).collect();
            let threads = threads.into_iter();
            threads
                .map(|thread| thread.join().unwrap().unwrap())
                .collect()
        });
        let expected = Comparison {
            photos: (0..4).map(photo).collect(),
            skipped: Vec::new(),
            elapsed: Duration::from_nanos(1),
        };
        assert_eq!(outcomes, [Some(expected), None]);
    }
}
