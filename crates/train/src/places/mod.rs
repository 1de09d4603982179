//! Where on earth a photo was taken, as PlaNet tells it (section 4.4 of the paper): the earth falls into
//! cells, small where there are many photos, and the network is a classifier of cells.
//!
//! ```text
//! coordinates -> Cell (S2's numbering) -> Partition: the cells with enough photos, as classes
//! the best class -> the centre of its cell -> kilometres to the photo's place
//! ```

mod cell;
mod distance;
mod partition;
mod photos;

pub use cell::Cell;
pub use distance::{DistanceMetrics, WITHIN_KM, kilometres};
pub use partition::{Partition, PartitionLimits};
pub use photos::{PlacePhotos, open};

use crate::data::DataError;

/// A place on earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// -90 to 90, north is positive.
    pub latitude: f64,
    /// -180 to 180, east is positive.
    pub longitude: f64,
}

impl Place {
    /// `None` if there is no such place.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let exists = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        exists.then_some(Self {
            latitude,
            longitude,
        })
    }
}

/// A setting or name of cells that cannot be used.
fn refused(message: String) -> DataError {
    DataError::Settings(message)
}
