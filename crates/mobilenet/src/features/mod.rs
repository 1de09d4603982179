//! Features of many photos and what they are good for: which photos are alike.
//!
//! | item | what |
//! |---|---|
//! | [`of_photos`] | features of many photos, in parallel; [`for_photos`] anything else |
//! | `DatasetFeatures` | features of a labelled data set, kept in a file (feature `train`) |
//! | [`FeatureTable`] | features with the names of their photos, in files |
//! | [`Neighbours`] | the nearest rows of a table by cosine |
//! | [`vote`] | the class that most neighbours have |
//! | [`groups`] | pairs that are alike -> groups |

mod compute;
#[cfg(feature = "train")]
mod dataset;
mod groups;
mod neighbours;
mod table;

pub use compute::{for_photos, of_photos};
#[cfg(feature = "train")]
pub use dataset::{DatasetFeatures, dataset_key};
pub use groups::groups;
pub use neighbours::{Neighbour, Neighbours, vote};
pub use table::{ENDINGS, FeatureTable, FeaturesError};
