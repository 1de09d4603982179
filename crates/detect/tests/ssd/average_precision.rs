//! COCO's twelve numbers against pycocotools' own (`golden/average_precision.py`): ties, crowds, sizes,
//! photos without boxes or detections.

use mobilenet_detect::average_precision::{CocoMetrics, FoundBox, TrueBox, evaluate};
use serde_json::Value;

const GOLDEN: &str = include_str!("../golden/average_precision.jsonl");

fn number(line: &Value, index: usize) -> f64 {
    line[index].as_f64().unwrap()
}

fn boxes(case: &Value) -> (Vec<TrueBox>, Vec<FoundBox>) {
    let index = |line: &Value, at: usize| line[at].as_u64().unwrap() as usize;
    let bounds = |line: &Value| [2, 3, 4, 5].map(|at| number(line, at));
    let truth = case["truth"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| TrueBox {
            image: index(line, 0),
            class: index(line, 1),
            bounds: bounds(line),
            area: number(line, 6),
            crowd: line[7].as_bool().unwrap(),
        });
    let found = case["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| FoundBox {
            image: index(line, 0),
            class: index(line, 1),
            bounds: bounds(line),
            score: number(line, 6),
        });
    (truth.collect(), found.collect())
}

fn list(metrics: &CocoMetrics) -> [Option<f64>; 12] {
    let CocoMetrics {
        ap,
        ap_50,
        ap_75,
        ap_small,
        ap_medium,
        ap_large,
        ar_1,
        ar_10,
        ar_100,
        ar_small,
        ar_medium,
        ar_large,
    } = *metrics;
    [
        ap, ap_50, ap_75, ap_small, ap_medium, ap_large, ar_1, ar_10, ar_100, ar_small, ar_medium,
        ar_large,
    ]
}

#[test]
fn pycocotools_numbers() {
    let mut cases = 0;
    for line in GOLDEN.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (truth, found) = boxes(&case);
        let metrics = list(&evaluate(&truth, &found));
        for (at, found) in metrics.into_iter().enumerate() {
            let expected = number(&case["stats"], at);
            let found = found.unwrap_or(-1.0);
            assert!(
                (found - expected).abs() < 1e-9,
                "{}, {at}: {found}, {expected}",
                case["case"]
            );
        }
        cases += 1;
    }
    assert_eq!(cases, 12);
}

#[test]
fn without_boxes_there_is_no_number() {
    assert!(list(&evaluate(&[], &[])).iter().all(Option::is_none));
    let found = FoundBox {
        image: 0,
        class: 3,
        bounds: [0.0, 0.0, f64::NAN, 1.0],
        score: f64::NAN,
    };
    assert!(list(&evaluate(&[], &[found])).iter().all(Option::is_none));
    let truth = TrueBox {
        image: 0,
        class: 3,
        bounds: [0.0, 0.0, 10.0, 10.0],
        area: 100.0,
        crowd: false,
    };
    let metrics = evaluate(&[truth], &[found]);
    assert_eq!((metrics.ap, metrics.ap_large), (Some(0.0), None));
}
