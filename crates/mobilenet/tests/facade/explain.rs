//! The activation map adds up to the class's logit, for every rule of cropping.

use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet::model::fold::folded_logits;
use mobilenet::model::initialize::random_parameters;
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::{Classifier, Engine, ExplainError, Explainer, Photo};

fn checkpoint(preprocessing: Preprocessing) -> Checkpoint {
    let metadata = Metadata {
        width: 0.25,
        classes: Some(7),
        ..Metadata::new(preprocessing)
    };
    Checkpoint {
        parameters: random_parameters(&metadata.config(), 0).unwrap(),
        metadata,
        report: LoadReport::default(),
    }
}

fn photo() -> Photo {
    Photo::from_fn(150, 120, |x, y| [x as u8, y as u8, (x * y) as u8].into())
}

#[test]
fn summands_add_up_to_the_logit() {
    for preprocessing in [
        Preprocessing::plain(96),
        Preprocessing::slim(96),
        Preprocessing::timm(96, 0.875),
    ] {
        let checkpoint = checkpoint(preprocessing);
        let mut explainer = Explainer::new(&checkpoint, 1).unwrap();
        let folded = folded_logits(&checkpoint.metadata.config(), &checkpoint.parameters);
        let weights = folded.unwrap().unwrap().weights;
        let classifier = Classifier::from_checkpoint(checkpoint, Engine::default()).unwrap();
        let features = classifier.features(&photo()).unwrap();
        for class in 0..7 {
            let map = explainer.explain(&photo(), Some(class)).unwrap();
            assert_eq!((map.prediction.class, map.size), (class, [3, 3]));
            let sum: f32 = map.values.iter().sum();
            let of_class = &weights[class * features.len()..][..features.len()];
            let logit: f32 = of_class.iter().zip(&features).map(|(w, x)| w * x).sum();
            assert!((sum - logit).abs() < 1e-4, "{sum} {logit}");
        }
        let best = explainer.explain(&photo(), None).unwrap();
        let answer = &classifier.classify(&photo(), 1).unwrap()[0];
        assert_eq!(best.prediction.class, answer.class);
    }
}

#[test]
fn the_region_is_what_the_rule_keeps_of_the_photo() {
    let region = |preprocessing| {
        let mut explainer = Explainer::new(&checkpoint(preprocessing), 1).unwrap();
        explainer.explain(&photo(), None).unwrap().region
    };
    // 150 columns and 120 rows.
    assert_eq!(region(Preprocessing::plain(96)), [0.0, 0.0, 120.0, 150.0]);
    assert_eq!(region(Preprocessing::slim(96)), [7.0, 9.0, 113.0, 141.0]);
    let [top, left, bottom, right] = region(Preprocessing::timm(96, 0.875));
    // The photo becomes 109 by 136 pixels, of which 96 by 96 are seen.
    let (rows, columns) = (96.0 * 120.0 / 109.0, 96.0 * 150.0 / 136.0);
    assert!((bottom - top - rows).abs() < 1e-9 && (right - left - columns).abs() < 1e-9);
    assert!((top + bottom - 120.0).abs() < 1e-9 && (left + right - 150.0).abs() < 1e-9);
}

#[test]
fn unknown_classes_are_errors() {
    let mut explainer = Explainer::new(&checkpoint(Preprocessing::plain(96)), 1).unwrap();
    let error = explainer.explain(&photo(), Some(7)).unwrap_err();
    assert!(matches!(
        error,
        ExplainError::NoSuchClass {
            class: 7,
            classes: 7
        }
    ));
}
