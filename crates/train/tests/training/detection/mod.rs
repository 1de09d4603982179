//! A small detector in training, on made shapes.

mod crops;
mod network;
mod run;

use mobilenet_detect::{DetectorDescription, SsdConfig};
use mobilenet_model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::preprocess::Preprocessing;

use crate::shapes;

const SIDE: usize = 64;
const WIDTH: f64 = 0.25;
const BATCH: usize = 4;

fn description() -> DetectorDescription {
    DetectorDescription {
        width: WIDTH,
        min_depth: 8,
        size: [SIDE; 2],
        classes: shapes::CLASSES.map(str::to_string).to_vec(),
        mean: [0.5; 3],
        std: [0.5; 3],
        source: "made shapes".to_string(),
    }
}

fn config() -> SsdConfig {
    description().config()
}

fn backbone() -> Checkpoint {
    let metadata = Metadata {
        width: WIDTH,
        classes: Some(3),
        ..Metadata::new(Preprocessing::slim(SIDE))
    };
    Checkpoint {
        parameters: initial_parameters(&metadata.config(), 1).unwrap(),
        metadata,
        report: LoadReport::default(),
    }
}
