//! What a trained detector's file says besides its weights: text in its metadata.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::DetectError;
use crate::ssd::SsdConfig;

/// The key of the metadata.
pub const KEY: &str = "detector";

/// The network, its classes, and the numbers that it sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectorDescription {
    /// The width multiplier.
    pub width: f64,
    /// Least channels of a layer.
    pub min_depth: usize,
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Names of the classes, without the background.
    pub classes: Vec<String>,
    /// Subtracted from each channel, where 1 is full white.
    pub mean: [f32; 3],
    /// Divisor of each channel.
    pub std: [f32; 3],
    /// Where the weights come from.
    pub source: String,
}

impl DetectorDescription {
    /// The description in a file's metadata, if it has one.
    ///
    /// # Errors
    /// If it is there, but cannot be read.
    pub fn of_metadata(metadata: &BTreeMap<String, String>) -> Result<Option<Self>, DetectError> {
        let Some(text) = metadata.get(KEY) else {
            return Ok(None);
        };
        let refuse = |problem: String| DetectError::NoDetector {
            file: format!("the metadata `{KEY}`"),
            problem,
        };
        let found: Self = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let mut numbers = found.mean.iter().chain(&found.std);
        let finite = numbers.all(|number| number.is_finite());
        if !finite || found.std.contains(&0.0) || !(found.width > 0.0 && found.width <= 16.0) {
            return Err(refuse(
                "its width, mean or deviation is impossible".to_string(),
            ));
        }
        Ok(Some(found))
    }

    /// The network, with the anchors of [`crate::anchors::AnchorRule::default`].
    pub fn config(&self) -> SsdConfig {
        SsdConfig {
            min_depth: self.min_depth,
            size: self.size,
            ..SsdConfig::new(self.width, self.classes.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<DetectorDescription>, DetectError> {
        DetectorDescription::of_metadata(&BTreeMap::from([(KEY.to_string(), text.to_string())]))
    }

    #[test]
    fn what_is_impossible_is_refused() {
        let good = r#"{"width": 0.5, "min_depth": 8, "size": [64, 96], "classes": ["a", "b"],
            "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "source": "x"}"#;
        let config = read(good).unwrap().unwrap().config();
        assert_eq!(
            (config.classes, config.size, config.min_depth),
            (2, [64, 96], 8)
        );
        assert!(config.network().is_ok());
        for (part, other) in [
            ("0.5, \"min", "-1.0, \"min"),
            ("0.5, \"min", "1e300, \"min"),
            ("\"std\": [0.5", "\"std\": [0.0"),
            ("\"mean\": [0.5", "\"mean\": [1e39"),
            ("[64, 96]", "[64]"),
            ("\"source\"", "\"sauce\""),
        ] {
            let error = read(&good.replace(part, other)).unwrap_err().to_string();
            assert!(
                error.contains("the metadata `detector`"),
                "{other}: {error}"
            );
        }
        // Sizes and classes are the network's to refuse.
        let huge = read(&good.replace("[64, 96]", "[1, 9999999]"))
            .unwrap()
            .unwrap();
        assert!(huge.config().network().is_err());
        let none = read(&good.replace("[\"a\", \"b\"]", "[]"))
            .unwrap()
            .unwrap();
        assert!(none.config().network().is_err());
        assert_eq!(
            DetectorDescription::of_metadata(&BTreeMap::new()).unwrap(),
            None
        );
    }
}
