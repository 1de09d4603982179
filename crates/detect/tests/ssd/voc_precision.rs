//! Pascal VOC's average precision against its evaluation in Python (`golden/voc_precision.py`).

use mobilenet_detect::average_precision::{FoundBox, TrueBox};
use mobilenet_detect::voc_precision::{VocMetrics, evaluate};
use serde_json::Value;

const GOLDEN: &str = include_str!("../golden/voc_precision.jsonl");

fn index(line: &Value, at: usize) -> usize {
    line[at].as_u64().unwrap() as usize
}

/// From corners that include the last pixel.
fn bounds(line: &Value) -> [f64; 4] {
    let [left, top, right, bottom] = [2, 3, 4, 5].map(|at| line[at].as_f64().unwrap());
    [left, top, right - left + 1.0, bottom - top + 1.0]
}

fn boxes(case: &Value) -> (Vec<TrueBox>, Vec<FoundBox>) {
    let truth = case["truth"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| TrueBox {
            image: index(line, 0),
            class: index(line, 1),
            bounds: bounds(line),
            area: 1.0,
            crowd: line[6].as_bool().unwrap(),
        });
    let found = case["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| FoundBox {
            image: index(line, 0),
            class: index(line, 1),
            bounds: bounds(line),
            score: line[6].as_f64().unwrap(),
        });
    (truth.collect(), found.collect())
}

#[test]
fn numbers_of_vocs_evaluation() {
    let (mut cases, mut compared) = (0, 0);
    for line in GOLDEN.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (truth, found) = boxes(&case);
        let (mean, classes) = evaluate(&truth, &found);
        for (class, expected) in case["classes"].as_array().unwrap().iter().enumerate() {
            let Some(expected) = expected.as_array() else {
                continue;
            };
            let VocMetrics { ap, ap_11 } = classes[&class];
            for (found, expected) in [ap, ap_11].into_iter().zip(expected) {
                let (found, expected) = (found.unwrap(), expected.as_f64().unwrap());
                assert!(
                    (found - expected).abs() < 1e-9,
                    "{cases}, {class}: {found}, {expected}"
                );
            }
            compared += 1;
        }
        let sum: f64 = classes.values().map(|one| one.ap.unwrap()).sum();
        assert!((mean.ap.unwrap() - sum / classes.len() as f64).abs() < 1e-12);
        cases += 1;
    }
    assert!(cases == 6 && compared > 12, "{cases} {compared}");
}

#[test]
fn without_boxes_there_is_no_number() {
    assert_eq!(evaluate(&[], &[]).0, VocMetrics::default());
    let found = FoundBox {
        image: 0,
        class: 3,
        bounds: [0.0, 0.0, f64::NAN, 1.0],
        score: f64::NAN,
    };
    assert_eq!(evaluate(&[], &[found]).0, VocMetrics::default());
    let mut truth = TrueBox {
        image: 0,
        class: 3,
        bounds: [0.0, 0.0, 10.0, 10.0],
        area: 100.0,
        crowd: false,
    };
    assert_eq!(evaluate(&[truth], &[found]).0.ap, Some(0.0));
    truth.crowd = true;
    assert_eq!(evaluate(&[truth], &[found]).0, VocMetrics::default());
}
