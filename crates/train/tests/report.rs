//! Writes a report of synthetic records, and checks its files, its figures, and what it says if
//! data are missing.

use std::path::Path;

use mobilenet_train::log::{EpochRecord, History, Record, StepRecord};
use mobilenet_train::metrics::{Evaluation, WrongImage};
use mobilenet_train::report::{Report, WrongPhoto};

/// The classes of Fashion-MNIST. Two names have signs that must be escaped in Markdown or SVG.
const NAMES: [&str; 10] = [
    "T-shirt|top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal <&>",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

fn history() -> History {
    let step = |step: u64| {
        let noise = (step as f64 * 0.7).sin() * 0.15;
        Record::Step(StepRecord {
            step,
            loss: 2.3 * (-(step as f64) / 900.0).exp() + 0.3 + noise,
            learning_rate: 0.045,
            images_per_second: 1000.0,
        })
    };
    let epoch = |epoch: u64| {
        let rest = 0.3 / epoch as f64;
        Record::Epoch(EpochRecord {
            epoch,
            accuracy: 0.94 - rest,
            recall_5: 0.999 - rest / 10.0,
        })
    };
    let mut records: Vec<Record> = (1..=600).map(|index| step(10 * index)).collect();
    records.extend((1..=8).map(epoch));
    History { records }
}

/// `per_class` images per class. Some of every fourth image's predictions are an earlier class.
fn evaluation(classes: usize, per_class: usize) -> Evaluation {
    let mut evaluation = Evaluation::new(classes, 3);
    for image in 0..classes * per_class {
        let (label, turn) = (image % classes, image / classes);
        let predicted = if turn % 4 == 0 {
            label.saturating_sub(turn / 4)
        } else {
            label
        };
        let mut logits = vec![0.0; classes];
        logits[predicted] = 3.0 + turn as f32 / 100.0;
        evaluation.add(&[image], &logits, &[label as u32]).unwrap();
    }
    evaluation
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn a_whole_report() {
    let temporary = tempfile::tempdir().unwrap();
    // The folder is kept if a user wants to look at the report.
    let kept = std::env::var_os("MOBILENET_KEEP_REPORT");
    let folder = kept.map_or(temporary.path().join("report"), Into::into);
    let evaluation = evaluation(10, 100);
    let names = NAMES.map(String::from);
    let photo = |image: &WrongImage| WrongPhoto {
        image: *image,
        name: format!("image {}", image.image),
        width: 28,
        height: 20,
        rgb: (0..28 * 20 * 3).map(|index| (index % 251) as u8).collect(),
    };
    let worst: Vec<WrongPhoto> = evaluation.most_wrong().iter().map(photo).collect();
    let recipe = [("optimizer".to_string(), "rms_prop_tf".to_string())];
    let report = Report {
        title: "MobileNetV1 0.25 on garments",
        recipe: &recipe,
        history: &history(),
        evaluation: &evaluation,
        class_names: &names,
        worst: &worst,
    };
    report.write(&folder).unwrap();
    // Writing again replaces the files.
    report.write(&folder).unwrap();

    let page = read(&folder, "report.md");
    for part in [
        "# MobileNetV1 0.25 on garments\n",
        "| optimizer | rms_prop_tf |\n",
        "| evaluated images | 1000 |\n",
        "| Accuracy | 78.40 % |\n",
        "| best Accuracy | 90.25 % after epoch 8 |\n",
        "| steps | 6000 |\n",
        "| T-shirt\\|top | 100 | 35.71 % | 100.00 % | 52.63 % |\n",
        "| Sandal &lt;&> | 100 | 95.00 % | 76.00 % | 84.44 % |\n",
        "![Loss in training](loss.svg)",
        "![Accuracy in evaluation](accuracy.svg)",
        "![Images by label and prediction](confusion.svg)",
        "| ![](worst_3.png) | image ",
    ] {
        assert!(page.contains(part), "no {part:?} in\n{page}");
    }
    for (name, part) in [
        ("loss.svg", "running mean"),
        ("accuracy.svg", "Recall_5"),
        ("confusion.svg", "Sandal &lt;&amp;&gt;"),
        ("confusion.svg", "\n76\n"),
    ] {
        let svg = read(&folder, name);
        assert!(
            svg.starts_with("<svg") && svg.ends_with("</svg>\n"),
            "{name}"
        );
        assert!(svg.contains(part), "no {part:?} in {name}");
    }
    let png = image::open(folder.join("worst_1.png")).unwrap().to_rgb8();
    assert_eq!(png.dimensions(), (112, 80));
    assert_eq!(png.get_pixel(3, 3), &image::Rgb([0, 1, 2]));
    assert_eq!(png.get_pixel(4, 0), &image::Rgb([3, 4, 5]));
}

#[test]
fn many_classes_are_cut_to_the_most_confused() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("MOBILENET_KEEP_REPORT");
    let folder = kept.map_or(temporary.path().to_path_buf(), |folder| {
        Path::new(&folder).join("many")
    });
    let names: Vec<String> = (0..100)
        .map(|class| format!("a long name of class number {class}"))
        .collect();
    let evaluation = evaluation(100, 10);
    let report = Report {
        title: "many",
        recipe: &[],
        history: &History::default(),
        evaluation: &evaluation,
        class_names: &names,
        worst: &[],
    };
    report.write(&folder).unwrap();
    let page = read(&folder, "report.md");
    assert!(page.contains("The 40 classes with the most mistakes."));
    assert!(!page.contains("loss.svg") && !page.contains("## Recipe"));
    assert!(!folder.join("loss.svg").exists());
    let svg = read(&folder, "confusion.svg");
    assert!(svg.len() < 1_000_000, "{}", svg.len());
    assert!(svg.contains("a long name of class\u{2026}"));
}

#[test]
fn nothing_recorded_is_still_a_page() {
    let folder = tempfile::tempdir().unwrap();
    // Zero or one step, and a loss that is NaN.
    for records in [vec![], history().records[..1].to_vec()] {
        let mut history = History { records };
        history.records.push(Record::Step(StepRecord {
            step: 1,
            loss: f64::NAN,
            learning_rate: 0.0,
            images_per_second: 0.0,
        }));
        let report = Report {
            title: "empty",
            recipe: &[],
            history: &history,
            evaluation: &Evaluation::new(3, 0),
            class_names: &[],
            worst: &[],
        };
        report.write(folder.path()).unwrap();
        assert!(read(folder.path(), "report.md").contains("| evaluated images | 0 |"));
    }
}

#[test]
fn a_photo_of_another_size_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let evaluation = evaluation(3, 4);
    let worst = [WrongPhoto {
        image: evaluation.most_wrong()[0],
        name: "cat.jpg".to_string(),
        width: 2,
        height: 2,
        rgb: vec![0; 11],
    }];
    let report = Report {
        title: "photo",
        recipe: &[],
        history: &History::default(),
        evaluation: &evaluation,
        class_names: &[],
        worst: &worst,
    };
    let error = report.write(folder.path()).unwrap_err().to_string();
    assert!(error.contains("cat.jpg: 11 bytes of RGB"), "{error}");
    assert!(!folder.path().join("report.md").exists());
}
