//! Tests of `choose`: what it measures, interpolates, ranks and refuses.

use crate::support::{Folder, json, lines, run, stderr, stdout};
use serde_json::Value;

const QUICK: [&str; 5] = ["choose", "--repeat", "1", "--precision", "int8"];

fn number(line: &Value, key: &str) -> f64 {
    line[key].as_f64().unwrap()
}

#[test]
fn the_published_sizes_are_measured_and_others_interpolated() {
    let folder = Folder::new();
    let plot = folder.path("front.svg");
    let more = ["--width", "0.4", "--verify", "--plot", &plot, "--json"];
    let found = json(&[&QUICK[..], &more].concat());
    let (published, others): (Vec<_>, Vec<_>) =
        found.iter().partition(|line| line["measured"] == true);
    assert_eq!((published.len(), others.len()), (16, 4));
    let of = |width: f64, side: u64| {
        let is = |line: &&Value| number(line, "width") == width && line["resolution"] == side;
        found.iter().find(is).unwrap()
    };
    let large = of(1.0, 224);
    assert_eq!(number(large, "accuracy"), 70.1);
    assert_eq!(large["chosen"], true);
    assert_eq!(
        found.iter().filter(|line| line["chosen"] == true).count(),
        1
    );
    // Nothing is more accurate than the largest, and nothing smaller than the smallest.
    assert_eq!(large["front"], true);
    assert_eq!(of(0.25, 128)["front"], true);
    assert!((4.2..4.5).contains(&number(large, "file_mb")), "{large}");
    assert!(number(large, "memory_mb") > number(of(0.25, 224), "memory_mb"));
    for side in [128, 160, 192, 224] {
        let between = of(0.4, side);
        let accuracy = number(between, "accuracy");
        assert!(accuracy > number(of(0.25, side), "accuracy"));
        assert!(accuracy < number(of(0.5, side), "accuracy"));
        assert!(number(between, "verified_ms") > 0.0 && number(between, "milliseconds") > 0.0);
    }
    let svg = std::fs::read_to_string(plot).unwrap();
    assert!(svg.contains("0.4/192") && svg.ends_with("</svg>\n"));
}

#[test]
fn limits_exclude() {
    let limits = [
        "--max-mb",
        "1.5",
        "--min-accuracy",
        "50",
        "--resolution",
        "96",
    ];
    let result = run(&[&QUICK[..], &limits, &["--json"]].concat());
    assert!(result.status.success(), "{}", stderr(&result));
    for line in lines(&result) {
        let fits = number(&line, "file_mb") <= 1.5
            && line["accuracy"]
                .as_f64()
                .is_some_and(|percent| percent >= 50.0);
        assert_eq!(line["fits"], fits, "{line}");
        // 0.5/224 is the most accurate of 1.5 MB.
        let best = number(&line, "width") == 0.5 && line["resolution"] == 224;
        assert_eq!(line["chosen"], best, "{line}");
        // Smaller than what is published: no accuracy is known.
        assert_eq!(
            line["accuracy"].is_null(),
            line["resolution"] == 96,
            "{line}"
        );
    }
    let none = run(&[&QUICK[..], &["--max-ms", "0.000001"]].concat());
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("no network fits"));
    assert!(stdout(&none).contains("0.25/128"));
    for wrong in [["--max-ms", "0"], ["--max-mb", "many"], ["--width", "-1"]] {
        let wrong = run(&[&QUICK[..], &wrong].concat());
        assert_eq!(wrong.status.code(), Some(2));
    }
}
