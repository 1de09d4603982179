//! `train` and `eval` with `--task multi-label`, `embedding` and `places`, on made photos.

use crate::support::{Folder, error, json, run, stderr, stdout};
use serde_json::Value;

const COLOURS: [[u8; 3]; 4] = [[230, 40, 40], [40, 220, 60], [50, 60, 230], [220, 210, 40]];

/// Photos of one colour each, 32 pixels: number n has the colour n % 4.
fn photos(folder: &Folder) {
    std::fs::create_dir_all(folder.path("photos")).unwrap();
    for number in 0..24usize {
        let colour = COLOURS[number % 4];
        let photo = image::RgbImage::from_fn(32, 32, |x, y| {
            let noise = ((x * 7 + y * 13 + number as u32 * 5) % 20) as u8;
            image::Rgb(colour.map(|value| value - noise))
        });
        photo
            .save(folder.path(&format!("photos/{number}.png")))
            .unwrap();
    }
}

/// A list of the photos: 16 for training, 8 for evaluation.
fn lists(folder: &Folder, header: &str, row: impl Fn(usize) -> String) -> String {
    let list = |range: std::ops::Range<usize>| {
        let rows = range.map(|number| format!("photos/{number}.png,{}\n", row(number)));
        format!("{header}\n{}", rows.collect::<String>())
    };
    std::fs::write(folder.path("train.csv"), list(0..16)).unwrap();
    std::fs::write(folder.path("test.csv"), list(16..24)).unwrap();
    format!("{},{}", folder.path("train.csv"), folder.path("test.csv"))
}

fn train<'a>(task: &'a str, data: &'a str, out: &'a str) -> Vec<&'a str> {
    let fixed = "--width 0.25 --resolution 32 --batch-size 8 --threads 1 --augment none \
                 --log-every 4";
    let mut arguments = vec!["train", "--task", task, "--data", data, "--out", out];
    arguments.extend(fixed.split_whitespace());
    arguments
}

fn measures(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line["epoch"].is_u64()).collect()
}

fn eval(task: &str, weights: &str, data: &str) -> Value {
    let lines = json(&["eval", "--task", task, "-w", weights, "-d", data, "--json"]);
    let [line] = &lines[..] else {
        panic!("one line");
    };
    line.clone()
}

#[test]
fn attributes() {
    let folder = Folder::new();
    photos(&folder);
    // Red and yellow are warm, green and yellow bright.
    let row = |number: usize| match number % 4 {
        0 => "warm".to_string(),
        1 => "bright".to_string(),
        3 => "warm|bright".to_string(),
        _ => String::new(),
    };
    let data = lists(&folder, "photo,labels", row);
    let (out, report) = (folder.path("out"), folder.path("report"));
    let weights = folder.path("out/model.safetensors");
    let arguments = train("multi-label", &data, &out);
    let lines = json(&[&arguments[..], &["--steps", "4", "--json"]].concat());
    let epochs = measures(&lines);
    assert_eq!(epochs.len(), 2);
    assert_eq!(epochs[1]["measure"], "mean_average_precision");
    let page = std::fs::read_to_string(folder.path("out/report/report.html")).unwrap();
    assert!(page.contains("Attributes") && page.contains("warm"));

    let line = eval("multi-label", &weights, &data);
    assert_eq!(line["images"], 8);
    assert_eq!(line["mean_average_precision"], epochs[1]["value"]);
    assert_eq!(line["attributes"][0]["name"], "bright");
    assert_eq!(line["attributes"][0]["positives"], 4);
    let output = run(&[
        "eval",
        "--task",
        "multi-label",
        "-w",
        &weights,
        "-d",
        &data,
        "--report",
        &report,
    ]);
    let text = stdout(&output);
    assert!(
        text.contains("mean average precision") && text.contains("(4 of 8 photos)"),
        "{text}"
    );

    // Independent probabilities: they do not add up to 1.
    let photo = folder.path("photos/0.png");
    let line = &json(&["classify", &photo, "-w", &weights, "--json"])[0];
    let predictions = line["predictions"].as_array().unwrap();
    let sum: f64 = predictions
        .iter()
        .map(|one| one["probability"].as_f64().unwrap())
        .sum();
    assert!(predictions.len() == 2 && (sum - 1.0).abs() > 1e-6, "{line}");

    // Goes on with the same last layer, and other commands refuse it.
    let (next, text) = (folder.path("next"), folder.path("photos"));
    let more = ["--init", &weights, "--steps", "2"];
    let output = run(&[
        &train("multi-label", &data, &next)[..2 + 5],
        &more,
        &["--batch-size", "8"],
    ]
    .concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(error(&["eval", "-w", &weights, "-d", &text]).contains("tells no classes"));
    let tflite = folder.path("out.tflite");
    assert!(error(&["convert", &weights, &tflite]).contains("no classifier"));
}

#[test]
fn embeddings_by_labels_and_by_vectors() {
    let folder = Folder::new();
    photos(&folder);
    let data = lists(&folder, "photo,label", |number| {
        format!("colour {}", number % 4)
    });
    let (out, weights) = (folder.path("out"), folder.path("out/model.safetensors"));
    let arguments = train("embedding", &data, &out);
    let more = ["--steps", "4", "--embedding-width", "8", "--json"];
    let lines = json(&[&arguments[..], &more].concat());
    let epochs = measures(&lines);
    assert_eq!(epochs[1]["measure"], "area_under_roc");
    let line = eval("embedding", &weights, &data);
    // 8 photos, 2 of each colour.
    assert_eq!(line["pairs"], serde_json::json!([4, 24]));
    assert_eq!(line["area_under_roc"], epochs[1]["value"]);
    assert!(line["true_accepts"][0]["true_accept_rate"].is_f64());
    assert!(line["true_accepts"][3]["true_accept_rate"].is_null());
    let page = std::fs::read_to_string(folder.path("out/report/report.html")).unwrap();
    assert!(page.contains("Receiver operating characteristic"));
    let list = "photo,other,same\nphotos/0.png,photos/4.png,1\nphotos/0.png,photos/1.png,0\n";
    std::fs::write(folder.path("pairs.csv"), list).unwrap();
    let line = eval("embedding", &weights, &folder.path("pairs.csv"));
    assert_eq!(
        (&line["images"], &line["pairs"]),
        (&3.into(), &serde_json::json!([1, 1]))
    );
    let photo = folder.path("photos/0.png");
    assert!(error(&["classify", &photo, "-w", &weights]).contains("no classifier"));

    // From the colours' own vectors, and from a network.
    let vector = |number: usize| COLOURS[number % 4].map(|value| value.to_string()).join(",");
    let data = lists(&folder, "photo,r,g,b", vector);
    let out = folder.path("vectors");
    let lines = json(
        &[
            &train("embedding", &data, &out)[..],
            &["--steps", "2", "--json"],
        ]
        .concat(),
    );
    assert_eq!(measures(&lines)[0]["measure"], "mean_cosine");
    let learnt = folder.path("vectors/model.safetensors");
    assert!(eval("embedding", &learnt, &data)["mean_cosine"].is_f64());
    let data = lists(&folder, "photo,label", |number| {
        format!("colour {}", number % 4)
    });
    let out = folder.path("taught");
    let more = ["--steps", "2", "--teacher", &weights, "--json"];
    let lines = json(&[&train("embedding", &data, &out)[..], &more].concat());
    assert_eq!(measures(&lines)[0]["measure"], "area_under_roc");

    // Without a last layer, by labels and from a network with as many features.
    let (bare, pupil) = (folder.path("bare"), folder.path("pupil"));
    let weights = folder.path("bare/model.safetensors");
    let more = ["--steps", "4", "--embedding-width", "none", "--json"];
    let lines = json(&[&train("embedding", &data, &bare)[..], &more].concat());
    let area = &measures(&lines)[1]["value"];
    assert_eq!(&eval("embedding", &weights, &data)["area_under_roc"], area);
    let more = [&more[..], &["--teacher", &weights]].concat();
    let lines = json(&[&train("embedding", &data, &pupil)[..], &more].concat());
    assert_eq!(measures(&lines)[0]["measure"], "area_under_roc");
    let (photos, rows) = (folder.path("photos"), folder.path("rows.npy"));
    let output = run(&["features", &photos, "-w", &weights, "-o", &rows]);
    assert!(
        stdout(&output).contains("256 features each"),
        "{}",
        stderr(&output)
    );
    let vectors = lists(&folder, "photo,r,g,b", vector);
    let more = ["--embedding-width", "none"];
    let text = error(&[&train("embedding", &vectors, &folder.path("no"))[..], &more].concat());
    assert!(
        text.contains("256 features, and those to learn have 3 numbers"),
        "{text}"
    );

    let output = run(&[&train("embedding", &data, &out)[..], &["--quantize"]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn places() {
    let folder = Folder::new();
    photos(&folder);
    let cities = [
        "52.52,13.40",
        "-33.87,151.21",
        "40.71,-74.01",
        "-1.29,36.82",
    ];
    let data = lists(&folder, "photo,latitude,longitude", |number| {
        cities[number % 4].to_string()
    });
    let (out, weights) = (folder.path("out"), folder.path("out/model.safetensors"));
    let more = [
        "--steps",
        "2",
        "--cell-least",
        "2",
        "--cell-most",
        "4",
        "--json",
    ];
    let lines = json(&[&train("places", &data, &out)[..], &more].concat());
    assert!(measures(&lines)[0]["accuracy"].is_f64());
    let line = eval("places", &weights, &data);
    assert_eq!(
        (&line["images"], &line["within"][4]["kilometres"]),
        (&8.into(), &2500.0.into())
    );
    assert!(line["median_km"].as_f64().unwrap() < 20_016.0);
    let answers = folder.path("answers.csv");
    let output = run(&[
        "eval",
        "--task",
        "places",
        "-w",
        &weights,
        "-d",
        &data,
        "--predictions",
        &answers,
    ]);
    assert!(
        stdout(&output).contains("within   25 km"),
        "{}",
        stdout(&output)
    );
    assert_eq!(
        std::fs::read_to_string(&answers).unwrap().lines().count(),
        9
    );
    let text = error(&[&train("places", &data, &out)[..], &["--steps", "2"]].concat());
    assert!(text.contains("cells of 50 to 5000 photos"), "{text}");
}
