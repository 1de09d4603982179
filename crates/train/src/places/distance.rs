//! How far answers are from the truth.

use serde::{Deserialize, Serialize};

use super::Place;

/// Distances of PlaNet's table: a street, a city, a region, a country, a continent.
pub const WITHIN_KM: [f64; 5] = [1.0, 25.0, 200.0, 750.0, 2500.0];

/// Mean radius of the earth.
const RADIUS_KM: f64 = 6371.0;

/// Length of the great circle between two places, on a ball.
pub fn kilometres(a: Place, b: Place) -> f64 {
    let half_sine = |degrees: f64| (degrees.to_radians() / 2.0).sin();
    let latitudes = a.latitude.to_radians().cos() * b.latitude.to_radians().cos();
    let chord = half_sine(b.latitude - a.latitude).powi(2)
        + latitudes * half_sine(b.longitude - a.longitude).powi(2);
    2.0 * RADIUS_KM * chord.sqrt().min(1.0).asin()
}

/// Distances of many answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistanceMetrics {
    /// Number of answers.
    pub photos: usize,
    /// Share of answers within each of [`WITHIN_KM`].
    pub within: [f64; 5],
    /// The middle distance in kilometres. `None` without answers.
    pub median_km: Option<f64>,
}

impl DistanceMetrics {
    /// Metrics of distances in kilometres.
    pub fn new(mut distances: Vec<f64>) -> Self {
        distances.sort_by(f64::total_cmp);
        let photos = distances.len();
        let within = |limit: f64| {
            let count = distances.partition_point(|&distance| distance <= limit);
            count as f64 / photos.max(1) as f64
        };
        let upper = distances.get(photos / 2);
        let lower = distances.get(photos.saturating_sub(1) / 2);
        Self {
            photos,
            within: WITHIN_KM.map(within),
            median_km: upper.zip(lower).map(|(upper, lower)| (upper + lower) / 2.0),
        }
    }
}
