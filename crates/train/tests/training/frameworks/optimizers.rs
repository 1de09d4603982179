//! Compares optimisers, clipping, averages and schedules with TensorFlow and PyTorch
//! (`golden/optimizers_*.py`).

use crate::support::{close, golden};
use mobilenet_train::moving_average::{MovingAverage, MovingAverageConfig};
use mobilenet_train::optimizer::{GradientClipping, Optimizer, OptimizerConfig, ParameterGroup};
use mobilenet_train::schedule::Schedule;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    weights: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    learning_rates: Vec<f64>,
    decayed: usize,
    weight_decay: f32,
    optimizers: Vec<Steps>,
    clipping: Vec<Clipping>,
    clip_by_value: Option<Vec<f32>>,
    #[serde(default)]
    moving_averages: Vec<Averages>,
    schedules: Vec<Rates>,
}

#[derive(Deserialize)]
struct Steps {
    config: OptimizerConfig,
    weights: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Clipping {
    limit: f64,
    norm: f64,
    clipped: Vec<f32>,
}

#[derive(Deserialize)]
struct Averages {
    config: MovingAverageConfig,
    average: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Rates {
    schedule: Schedule,
    rates: Vec<f64>,
}

fn both() -> [(&'static str, Golden); 2] {
    ["tensorflow", "torch"].map(|framework| {
        let golden = golden(&format!("optimizers_{framework}.json"));
        (framework, golden)
    })
}

#[test]
fn five_steps_of_every_optimizer() {
    let mut compared = 0;
    for (framework, golden) in both() {
        let values = golden.weights.len();
        for expected in &golden.optimizers {
            let groups = vec![
                ParameterGroup::new(0..golden.decayed).with_weight_decay(golden.weight_decay),
                ParameterGroup::new(golden.decayed..values),
            ];
            let mut optimizer = Optimizer::new(expected.config, values, groups).unwrap();
            let mut weights = golden.weights.clone();
            for (step, after) in expected.weights.iter().enumerate() {
                let rate = golden.learning_rates[step];
                optimizer
                    .step(&mut weights, &golden.gradients[step], rate)
                    .unwrap();
                let what = format!("{framework}, {:?}, step {step}", expected.config);
                for (index, (found, expected)) in weights.iter().zip(after).enumerate() {
                    // If a step brings a weight near zero, the rounding error still has the size of
                    // the old weight.
                    let size = expected.abs().max(golden.weights[index].abs());
                    assert!(
                        (found - expected).abs() <= 1e-6 * size,
                        "{what}, value {index}: {found}, expected {expected}"
                    );
                }
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 60);
}

#[test]
fn clipping() {
    for (framework, golden) in both() {
        let values = golden.weights.len();
        let groups = [
            ParameterGroup::new(0..golden.decayed),
            ParameterGroup::new(golden.decayed..values),
        ];
        for Clipping {
            limit,
            norm,
            clipped,
        } in &golden.clipping
        {
            let mut gradients = golden.gradients[0].clone();
            let clipping = GradientClipping::GlobalNorm { limit: *limit };
            let found = clipping.apply(&mut gradients, &groups).unwrap();
            assert!((found / norm - 1.0).abs() < 1e-6, "{framework}: {found}");
            close(framework, &gradients, clipped, 1e-5);
        }
        if let Some(expected) = &golden.clip_by_value {
            let mut gradients = golden.gradients[0].clone();
            let clipping = GradientClipping::Value { limit: 0.05 };
            clipping.apply(&mut gradients, &groups).unwrap();
            assert_eq!(&gradients, expected);
        }
    }
}

#[test]
fn moving_averages() {
    let (_, golden) = &both()[0];
    assert_eq!(golden.moving_averages.len(), 2);
    for expected in &golden.moving_averages {
        let mut average = MovingAverage::new(expected.config, golden.weights.clone()).unwrap();
        for (step, after) in expected.average.iter().enumerate() {
            average
                .update(&golden.gradients[step], step as u64 + 1)
                .unwrap();
            close(
                &format!("{:?}, step {step}", expected.config),
                average.values(),
                after,
                1e-5,
            );
        }
    }
}

#[test]
fn schedules() {
    for (framework, golden) in both() {
        assert!(!golden.schedules.is_empty());
        for Rates { schedule, rates } in golden.schedules {
            for (step, rate) in rates.iter().enumerate() {
                let found = schedule.learning_rate(step as u64);
                assert!(
                    (found / rate - 1.0).abs() < 1e-6,
                    "{framework}, {schedule:?}, step {step}: {found}, expected {rate}"
                );
            }
        }
    }
}
