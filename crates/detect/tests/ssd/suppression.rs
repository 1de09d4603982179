//! Suppression against TensorFlow's `NonMaxSuppressionV5`.

use mobilenet_detect::suppression::{Limits, suppress, suppress_softly};

use crate::ssd_graph::{golden, graph};

#[test]
fn tensorflows_suppression() {
    let made = |name| golden(include_bytes!("../golden/postprocess.safetensors"), name);
    let anchors = made("anchors");
    let boxes: Vec<[f32; 4]> = anchors
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&[y, x, h, w]| [y - h / 2.0, x - w / 2.0, y + h / 2.0, x + w / 2.0])
        .collect();
    let scores: Vec<f32> = made("scores_fine").chunks(7).map(|row| row[1]).collect();
    for (name, sigma, overlap, score, most) in [
        ("hard", 0.0, 0.5, 0.2f32, 100),
        ("soft", 0.5, 1.0, 0.2, 100),
        ("soft_limited", 0.3, 0.6, 0.3, 20),
    ] {
        let limits = Limits {
            score,
            overlap,
            most,
        };
        let scores = scores.iter().copied();
        let kept = match sigma > 0.0 {
            true => suppress_softly(scores, |index| boxes[index], &limits, sigma),
            false => suppress(scores, |index| boxes[index], &limits),
        };
        let found: Vec<f32> = kept.iter().map(|kept| kept.0 as f32).collect();
        assert_eq!(found, graph(&format!("{name}.indices")), "{name}");
        for (kept, expected) in kept.iter().zip(graph(&format!("{name}.scores"))) {
            assert!(
                (kept.2 - expected).abs() < 1e-6,
                "{name}: {kept:?}, {expected}"
            );
        }
    }
}
