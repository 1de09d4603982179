//! Comparison of what ranks were started with.

use super::{Communicator, gather};
use crate::error::TrainError;

/// Names and values of what ranks must have in common.
pub type Terms = Vec<(String, String)>;

/// Compares what the ranks have with what rank 0 has.
///
/// # Errors
/// On all ranks, with the first difference of the first rank that has one.
pub fn same_on_all(communicator: &mut dyn Communicator, own: &Terms) -> Result<(), TrainError> {
    if communicator.ranks() == 1 {
        return Ok(());
    }
    let own = serde_json::to_vec(own).map_err(TrainError::message)?;
    let all = gather(communicator, own)?;
    // What another version says may not even be readable.
    let all: Vec<Terms> = all
        .iter()
        .map(|terms| serde_json::from_slice(terms).unwrap_or_default())
        .collect();
    let Some((first, others)) = all.split_first() else {
        return Ok(());
    };
    for (rank, terms) in (1..).zip(others) {
        let named = |terms: &Terms, at: usize| match terms.get(at) {
            Some((name, value)) => (name.clone(), value.clone()),
            None => ("version".to_string(), "unknown".to_string()),
        };
        let differs = |at: &usize| first.get(*at) != terms.get(*at);
        let Some(at) = (0..first.len().max(terms.len())).find(differs) else {
            continue;
        };
        let ((what, expected), (_, found)) = (named(first, at), named(terms, at));
        let error = TrainError::RankDiffers {
            rank,
            what,
            expected,
            found,
        };
        return Err(error.seen_by(communicator.rank(), rank));
    }
    Ok(())
}
