//! The classifier's training against scikit-learn's logistic regression (`golden/logistic.py`).

use crate::support::{close, golden};
use mobilenet_train::head::{Head, HeadOptions};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    width: usize,
    classes: usize,
    features: Vec<f32>,
    labels: Vec<u32>,
    queries: Vec<f32>,
    fitted: Vec<Fitted>,
}

#[derive(Deserialize)]
struct Fitted {
    l2: f64,
    loss: f64,
    probabilities: Vec<f64>,
}

#[test]
fn scikit_learn_finds_the_same_classifier() {
    let golden: Golden = golden("logistic.json");
    for fitted in golden.fitted {
        let options = HeadOptions {
            l2: fitted.l2,
            ..HeadOptions::default()
        };
        let (width, classes) = (golden.width, golden.classes);
        let head = Head::fit(&golden.features, width, &golden.labels, classes, &options).unwrap();
        assert!(
            head.converged,
            "l2 {}: {} iterations",
            fitted.l2, head.iterations
        );
        close("loss", &[head.loss], &[fitted.loss], 1e-5);
        let logits = head.logits(&golden.queries).unwrap();
        let probabilities: Vec<f64> = logits.chunks(classes).flat_map(softmax).collect();
        for (found, expected) in probabilities.iter().zip(&fitted.probabilities) {
            assert!(
                (found - expected).abs() < 1e-3,
                "l2 {}: {found} {expected}",
                fitted.l2
            );
        }
    }
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[test]
fn any_number_of_threads_finds_the_same_bits() {
    let golden: Golden = golden("logistic.json");
    let fit = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let options = HeadOptions::default();
        let (width, classes) = (golden.width, golden.classes);
        pool.install(|| Head::fit(&golden.features, width, &golden.labels, classes, &options))
    };
    assert_eq!(fit(1).unwrap(), fit(3).unwrap());
}
