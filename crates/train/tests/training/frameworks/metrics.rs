//! Compares metrics with TensorFlow's, on logits with many ties (`golden/metrics.py`).

use crate::support::{close, golden};
use mobilenet_train::metrics::{Evaluation, argmax, in_top_k};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    classes: usize,
    logits: Vec<f32>,
    labels: Vec<u32>,
    predicted: Vec<usize>,
    in_top_5: Vec<bool>,
    special: Vec<Special>,
    confusion: Vec<u64>,
    precision: Vec<f64>,
    recall: Vec<f64>,
}

/// Logits that are not all finite. They are stored as text.
#[derive(Deserialize)]
struct Special {
    logits: Vec<String>,
    label: usize,
    in_top_5: bool,
}

#[test]
fn argmax_and_in_top_5() {
    let golden: Golden = golden("metrics.json");
    let rows: Vec<&[f32]> = golden.logits.chunks(golden.classes).collect();
    let predicted: Vec<usize> = rows.iter().map(|row| argmax(row)).collect();
    assert_eq!(predicted, golden.predicted);
    let labelled = rows.iter().zip(&golden.labels);
    let found: Vec<bool> = labelled
        .map(|(row, &label)| in_top_k(row, label as usize, 5))
        .collect();
    assert_eq!(found, golden.in_top_5);
}

#[test]
fn what_is_not_finite_is_not_in_the_top() {
    let golden: Golden = golden("metrics.json");
    assert_eq!(golden.special.len(), 4);
    for special in golden.special {
        let logits = special.logits.iter().map(|logit| logit.parse().unwrap());
        let logits: Vec<f32> = logits.collect();
        let found = in_top_k(&logits, special.label, 5);
        assert_eq!(found, special.in_top_5, "{logits:?}");
    }
}

#[test]
fn an_evaluation_in_batches() {
    let golden: Golden = golden("metrics.json");
    let classes = golden.classes;
    let mut evaluation = Evaluation::new(classes, 5);
    let images: Vec<usize> = (0..golden.labels.len()).collect();
    for batch in images.chunks(7) {
        let (first, last) = (batch[0], batch[0] + batch.len());
        let logits = &golden.logits[first * classes..last * classes];
        evaluation
            .add(batch, logits, &golden.labels[first..last])
            .unwrap();
    }
    let accuracy = evaluation.accuracy();
    let share = |hits: usize| hits as f64 / images.len() as f64;
    let in_top_5 = golden.in_top_5.iter().filter(|&&found| found).count();
    let labelled = golden.predicted.iter().zip(&golden.labels);
    let correct = labelled.filter(|&(&p, &label)| p == label as usize).count();
    assert_eq!(accuracy.images(), images.len() as u64);
    assert_eq!(accuracy.accuracy(), share(correct));
    assert_eq!(accuracy.recall_5(), share(in_top_5));

    let confusion = evaluation.confusion();
    for (index, &count) in golden.confusion.iter().enumerate() {
        assert_eq!(confusion.count(index / classes, index % classes), count);
    }
    let metrics = confusion.class_metrics();
    let precision: Vec<f64> = metrics.iter().map(|class| class.precision).collect();
    let recall: Vec<f64> = metrics.iter().map(|class| class.recall).collect();
    close("precision", &precision, &golden.precision, 1e-6);
    close("recall", &recall, &golden.recall, 1e-6);
    for class in metrics {
        let sum = class.precision + class.recall;
        let expected = 2.0 * class.precision * class.recall / sum.max(f64::MIN_POSITIVE);
        assert!((class.f1 - expected).abs() < 1e-12);
    }

    let worst = evaluation.most_wrong();
    assert_eq!(worst.len(), 5);
    assert!(worst.is_sorted_by(|a, b| a.loss >= b.loss));
    assert!(worst[0].loss > evaluation.loss());
    for image in worst {
        assert_eq!(image.predicted, golden.predicted[image.image]);
        assert_eq!(image.label, golden.labels[image.image] as usize);
    }
}

#[test]
fn a_batch_that_does_not_fit_counts_nothing() {
    let mut evaluation = Evaluation::new(2, 1);
    for (images, logits, labels) in [
        (&[0][..], &[0.0, 1.0, 2.0][..], &[0][..]),
        (&[0], &[0.0, 1.0], &[2]),
        (&[0, 1], &[0.0, 1.0], &[1]),
        (&[0], &[0.0, 1.0], &[1, 1]),
    ] {
        assert!(evaluation.add(images, logits, labels).is_err());
    }
    assert_eq!(evaluation.accuracy().images(), 0);
}
