//! Compares a run of the network on candle with a golden file.

use candle_core::Tensor;
use mobilenet_model::Endpoints;

use super::golden::{Golden, relative_error};

impl Golden {
    /// Compares the logits and all stored endpoints.
    pub fn check(&self, logits: &Tensor, endpoints: &Endpoints) {
        let mut compared = 0;
        for (name, expected) in &self.tensors {
            let found = if name == "logits" {
                logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            } else {
                let found = endpoints.get(name).unwrap_or_else(|| panic!("no {name}"));
                let shape = found
                    .dims()
                    .iter()
                    .map(usize::to_string)
                    .collect::<Vec<_>>()
                    .join(",");
                assert_eq!(shape, self.metadata[&format!("shape.{name}")], "{name}");
                let step: usize = self.metadata[&format!("step.{name}")].parse().unwrap();
                let all = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                all.into_iter().step_by(step).collect()
            };
            let error = relative_error(&found, expected);
            println!("{name}: {error:.1e} against {}", self.metadata["framework"]);
            assert!(error <= 1e-4, "{name}: max relative error {error:e}");
            compared += 1;
        }
        assert_eq!(compared, 6);
    }
}
