//! Post-processing against LiteRT's operator, bit for bit (`golden/ssd.py`), and its other rules.

use mobilenet_detect::anchors::Anchor;
use mobilenet_detect::bounds::{clipped, overlap};
use mobilenet_detect::options::read_options;
use mobilenet_detect::suppression::{Limits, suppress, suppress_softly};
use mobilenet_detect::{Detection, PostProcess, Suppression};
use safetensors::SafeTensors;

const GOLDEN: &[u8] = include_bytes!("../golden/postprocess.safetensors");

const SETS: [&str; 8] = [
    "fast",
    "fast_100",
    "fast_classes",
    "fast_overlap",
    "fast_no_background",
    "regular",
    "regular_100",
    "regular_few",
];

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let bytes = file.tensor(name).unwrap().data();
    let (values, _) = bytes.as_chunks::<4>();
    values
        .iter()
        .map(|&value| f32::from_le_bytes(value))
        .collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn the_operators_results_to_the_last_bit() {
    let file = SafeTensors::deserialize(GOLDEN).unwrap();
    let anchors: Vec<Anchor> = floats(&file, "anchors").as_chunks().0.to_vec();
    let encodings = floats(&file, "encodings");
    for set in SETS {
        let options = file.tensor(&format!("{set}.options")).unwrap();
        let rule = read_options(options.data()).unwrap();
        let scores = match ["fast_classes", "regular_100"].contains(&set) {
            true => "scores_fine",
            false => "scores_coarse",
        };
        let found = rule
            .run(&encodings, &floats(&file, scores), &anchors)
            .unwrap();
        let boxes: Vec<f32> = found.iter().flat_map(|found| found.bounds).collect();
        assert_eq!(
            bits(&boxes),
            bits(&floats(&file, &format!("{set}.boxes"))),
            "{set}"
        );
        let scores: Vec<f32> = found.iter().map(|found| found.score).collect();
        assert_eq!(
            bits(&scores),
            bits(&floats(&file, &format!("{set}.scores"))),
            "{set}"
        );
        let classes: Vec<f32> = found.iter().map(|found| found.class as f32).collect();
        assert_eq!(classes, floats(&file, &format!("{set}.classes")), "{set}");
    }
}

#[test]
fn options_are_read_and_checked() {
    let file = SafeTensors::deserialize(GOLDEN).unwrap();
    let tensor = file.tensor("regular_few.options").unwrap();
    let bytes = tensor.data();
    let rule = read_options(bytes).unwrap();
    let expected = PostProcess {
        suppression: Suppression::Regular { per_class: 3 },
        score: 0.05,
        overlap: 0.4,
        most: 40,
        ..PostProcess::new(6)
    };
    assert_eq!(rule, expected);
    // Cut off anywhere, and with any byte changed: an error or other options, never a panic.
    for end in 0..bytes.len() {
        assert!(read_options(&bytes[..end]).is_err(), "{end}");
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 4, 127, 255] {
            let mut changed = bytes.to_vec();
            changed[at] = value;
            if let Ok(rule) = read_options(&changed) {
                rule.check().unwrap();
            }
        }
    }
}

#[test]
fn impossible_rules_are_refused() {
    let good = PostProcess::new(90);
    good.check().unwrap();
    let mut zero = good.clone();
    zero.coder.scales[2] = 0.0;
    for broken in [
        PostProcess::new(0),
        PostProcess::new(1_000_000_000),
        PostProcess {
            most: 0,
            ..good.clone()
        },
        PostProcess {
            score: f32::NAN,
            ..good.clone()
        },
        PostProcess {
            overlap: f32::NAN,
            ..good.clone()
        },
        PostProcess {
            suppression: Suppression::Regular { per_class: 0 },
            ..good
        },
        zero,
    ] {
        assert!(broken.check().is_err(), "{broken:?}");
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let rule = PostProcess::new(2);
    let anchors = [[0.5, 0.5, 1.0, 1.0]; 2];
    let run = |encodings: &[f32], scores: &[f32]| rule.run(encodings, scores, &anchors);
    assert!(run(&[0.0; 8], &[0.5; 6]).is_ok());
    // Of another number of boxes, of too few classes, no whole boxes.
    assert!(run(&[0.0; 4], &[0.5; 6]).is_err());
    assert!(run(&[0.0; 8], &[0.5; 2]).is_err());
    assert!(run(&[0.0; 8], &[0.5; 5]).is_err());
    assert!(run(&[0.0; 9], &[0.5; 6]).is_err());
    let nan = [0.0, 0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0];
    let error = run(&nan, &[0.5; 6]).unwrap_err();
    assert!(error.to_string().contains("not finite"), "{error}");
    assert!(run(&[0.0; 8], &[0.5, 0.5, 0.5, f32::NAN, 0.5, 0.5]).is_err());
}

/// Numbers that are the same on every machine.
fn random(count: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 40) as f32 / (1 << 24) as f32
    };
    (0..count).map(|_| next()).collect()
}

fn random_boxes(count: usize) -> Vec<[f32; 4]> {
    let corners = random(4 * count, 5);
    let boxes = corners.as_chunks::<4>().0.iter();
    boxes
        .map(|&[y, x, height, width]| [y, x, y + 0.3 * height, x + 0.3 * width])
        .collect()
}

/// The rule as textbooks have it: all boxes sorted, each compared with all before it.
fn naive(scores: &[f32], boxes: &[[f32; 4]], limits: &Limits) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len())
        .filter(|&i| scores[i] >= limits.score)
        .collect();
    order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).unwrap());
    let mut alive = vec![true; scores.len()];
    let mut kept = Vec::new();
    for (place, &index) in order.iter().enumerate() {
        if !alive[index] || kept.len() == limits.most {
            continue;
        }
        kept.push(index);
        for &other in &order[place + 1..] {
            alive[other] &= overlap(boxes[index], boxes[other]) <= limits.overlap;
        }
    }
    kept
}

#[test]
fn the_heap_keeps_what_sorting_keeps() {
    let boxes = random_boxes(3000);
    // Many equal scores.
    let scores: Vec<f32> = random(3000, 9)
        .iter()
        .map(|s| (s * 50.0).round() / 50.0)
        .collect();
    for (score, overlap, most) in [
        (0.0, 0.5, 3000),
        (0.3, 0.2, 100),
        (0.9, 0.0, 7),
        (2.0, 0.5, 9),
    ] {
        let limits = Limits {
            score,
            overlap,
            most,
        };
        let kept = suppress(scores.iter().copied(), |index| boxes[index], &limits);
        let found: Vec<usize> = kept.iter().map(|kept| kept.0).collect();
        assert_eq!(found, naive(&scores, &boxes, &limits));
    }
}

/// Many classes at once give what each class by itself gives, with the best of all so far kept after
/// each: TFLite's way.
#[test]
fn classes_together_are_classes_one_by_one() {
    const CLASSES: usize = 7;
    let anchors: Vec<Anchor> = random_boxes(300)
        .into_iter()
        .map(|[y, x, bottom, right]| [y, x, bottom - y, right - x])
        .collect();
    let encodings = random(4 * anchors.len(), 11);
    // Many equal scores, with the background's.
    let columns = CLASSES + 1;
    let scores: Vec<f32> = random(columns * anchors.len(), 13)
        .iter()
        .map(|s| (s * 40.0).round() / 40.0)
        .collect();
    let good = PostProcess::new(CLASSES);
    let pairs = encodings.as_chunks::<4>().0.iter().zip(&anchors);
    let boxes: Vec<[f32; 4]> = pairs
        .map(|(&encoding, &anchor)| good.coder.decode(encoding, anchor))
        .collect();
    for (score, overlap, per_class, most) in [
        (0.0, 0.3, 100, 10),
        (0.2, 0.6, 3, 100),
        (0.5, 0.05, 1000, 5000),
        (0.9, 0.5, 100, 1),
        (1.5, 0.5, 100, 10),
    ] {
        let mut expected: Vec<Detection> = Vec::new();
        for class in 0..CLASSES {
            let of_class: Vec<f32> = scores
                .iter()
                .skip(1 + class)
                .step_by(columns)
                .copied()
                .collect();
            let limits = Limits {
                score,
                overlap,
                most: per_class,
            };
            expected.extend(
                naive(&of_class, &boxes, &limits)
                    .into_iter()
                    .map(|index| Detection {
                        class,
                        score: of_class[index],
                        bounds: boxes[index],
                    }),
            );
            expected.sort_by(|a, b| b.score.total_cmp(&a.score));
            expected.truncate(most);
        }
        let rule = PostProcess {
            suppression: Suppression::Regular { per_class },
            score,
            overlap,
            most,
            ..good.clone()
        };
        assert_eq!(rule.run(&encodings, &scores, &anchors).unwrap(), expected);
    }
}

#[test]
fn soft_suppression_lowers_scores() {
    let boxes = [
        [0.0, 0.0, 1.0, 1.0],
        [0.0, 0.0, 1.0, 0.5],
        [2.0, 2.0, 3.0, 3.0],
    ];
    let scores = [0.9, 0.8, 0.7];
    let limits = Limits {
        score: 0.1,
        overlap: 1.0,
        most: 3,
    };
    let kept = suppress_softly(scores.into_iter(), |index| boxes[index], &limits, 0.5);
    // The second overlaps the first by a half: it comes last, with exp(-0.25) of its score.
    let order: Vec<usize> = kept.iter().map(|kept| kept.0).collect();
    assert_eq!(order, [0, 2, 1]);
    assert!(
        (kept[2].2 - 0.8 * (-0.25f32).exp()).abs() < 1e-6,
        "{kept:?}"
    );
    // Beyond the limits it is dropped, by its overlap and by its score.
    for (score, overlap) in [(0.1, 0.4), (0.65, 1.0)] {
        let limits = Limits {
            score,
            overlap,
            most: 3,
        };
        let kept = suppress_softly(scores.into_iter(), |index| boxes[index], &limits, 0.5);
        assert_eq!(kept.iter().map(|kept| kept.0).collect::<Vec<_>>(), [0, 2]);
    }
    // With a tiny variance it is the greedy rule.
    let (boxes, scores) = (random_boxes(400), random(400, 3));
    let limits = Limits {
        score: 0.2,
        overlap: 0.0,
        most: 400,
    };
    let soft = suppress_softly(scores.iter().copied(), |index| boxes[index], &limits, 1e-9);
    let soft: Vec<usize> = soft.iter().map(|kept| kept.0).collect();
    assert_eq!(soft, naive(&scores, &boxes, &limits));
}

/// The rule of TensorFlow's graphs: classes do not compete, the threshold itself is too little,
/// boxes end at the image's border.
#[test]
fn suppression_per_class() {
    let anchors = [
        [0.5, 0.5, 2.0, 1.0],
        [0.5, 0.5, 2.0, 1.0],
        [5.0, 5.0, 1.0, 1.0],
    ];
    let rule = PostProcess {
        suppression: Suppression::PerClass {
            per_class: 100,
            soft: None,
        },
        score: 0.3,
        ..PostProcess::new(2)
    };
    let scores = [0.0, 0.9, 0.3, 0.0, 0.8, 0.4, 0.0, 0.7, 0.7];
    let found = rule.run(&[0.0; 12], &scores, &anchors).unwrap();
    let whole = |class, score| Detection {
        class,
        score,
        bounds: [0.0, 0.0, 1.0, 1.0],
    };
    assert_eq!(found, [whole(0, 0.9), whole(1, 0.4)]);
    assert_eq!(clipped([-1.0, 0.25, 2.0, 0.5]), [0.0, 0.25, 1.0, 0.5]);
}
