//! What ranks tell each other in each step, before any of them changes its state. So all of them go
//! on, stop, or fail after the same step.

use serde::{Deserialize, Serialize};

use crate::data::Skipped;
use crate::error::TrainError;
use crate::parallel::{Communicator, gather};

/// What a rank says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Word {
    /// It was asked to stop, and has computed nothing.
    Stop,
    /// It cannot go on.
    Failed(String),
    /// It has computed its shards.
    Computed {
        losses: Vec<Loss>,
        /// Photos that it could not use, and has not named before.
        skipped: Vec<Skipped>,
    },
}

/// Mean loss of a shard.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Loss(#[serde(with = "crate::bits")] pub(super) f64);

/// What all ranks do.
pub(super) enum Agreement {
    /// Stop before this step.
    Stop,
    /// Update the state.
    GoOn {
        /// Of all shards.
        losses: Vec<f64>,
        /// Of all ranks.
        skipped: Vec<Skipped>,
    },
}

/// Tells the others, and hears them.
///
/// # Errors
/// On all ranks, if one of them cannot go on.
pub(super) fn agree(
    communicator: &mut dyn Communicator,
    own: Result<Word, TrainError>,
) -> Result<Agreement, TrainError> {
    let rank = communicator.rank();
    let word = match &own {
        Ok(word) => word.clone(),
        Err(error) => Word::Failed(error.to_string()),
    };
    let words = if communicator.ranks() == 1 {
        vec![word]
    } else {
        let bytes = serde_json::to_vec(&word).map_err(TrainError::message)?;
        let all = gather(communicator, bytes)?;
        let words = all.iter().map(|word| serde_json::from_slice(word));
        words
            .collect::<Result<_, _>>()
            .map_err(TrainError::message)?
    };
    let own = own.err();
    let (mut all_losses, mut all_skipped, mut stop) = (Vec::new(), Vec::new(), false);
    let mut failure = None;
    for (from, word) in words.into_iter().enumerate() {
        match word {
            Word::Stop => stop = true,
            Word::Failed(problem) if failure.is_none() => failure = Some((from, problem)),
            Word::Failed(_) => {}
            Word::Computed { losses, skipped } => {
                all_losses.extend(losses.into_iter().map(|Loss(loss)| loss));
                all_skipped.extend(skipped);
            }
        }
    }
    match (own, failure) {
        (Some(own), Some((from, _))) if from == rank => Err(own),
        (_, Some((rank, problem))) => Err(TrainError::OtherRank { rank, problem }),
        _ if stop => Ok(Agreement::Stop),
        _ => Ok(Agreement::GoOn {
            losses: all_losses,
            skipped: all_skipped,
        }),
    }
}
