//! Writes a report of synthetic records, and checks its page, its figures, and what it says if data
//! are missing.

use std::path::Path;

use mobilenet_train::log::{EpochRecord, History, Record, StepRecord};
use mobilenet_train::metrics::{Evaluation, WrongImage};
use mobilenet_train::report::{Report, WrongPhoto};

/// The classes of Fashion-MNIST. Two names have signs that must be escaped in HTML.
const NAMES: [&str; 10] = [
    "T-shirt\" onload=\"top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "<script>alert('&')</script>",
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
            images_per_second: 22.660_166_999_998,
            staleness: None,
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

/// The page, which must be the only file, well-formed, and without anything from elsewhere.
fn read(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["report.html"]);
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    check_markup(&page);
    page
}

/// Checks that every element is closed, in order, and is one that the report uses.
fn check_markup(page: &str) {
    const ELEMENTS: &str = "html head title style body main h1 h2 p div dl dt dd figure figcaption \
                            b span small svg path text circle table tr th td";
    const SINGLE: &str = "!doctype meta img";
    let (_, rest) = page.split_once('<').unwrap();
    let mut open: Vec<&str> = Vec::new();
    for part in rest.split('<') {
        let (tag, text) = part.split_once('>').expect(part);
        assert!(
            open.last() == Some(&"style") || !text.contains('>'),
            "{part}"
        );
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{part}");
        } else if ELEMENTS.split(' ').any(|element| element == name) {
            if !tag.ends_with('/') {
                open.push(name);
            }
        } else {
            assert!(SINGLE.split(' ').any(|single| single == name), "{tag}");
        }
        // What is outside quotes: names of attributes.
        let outside: Vec<&str> = tag.split('"').step_by(2).collect();
        assert!(!outside.concat().contains(" on"), "{tag}");
    }
    assert!(open.is_empty(), "{open:?}");
    for elsewhere in ["http:", "https:", "//", "url(", "@import", "href"] {
        // Base64 has slashes.
        let mut texts = page.split("data:image/png;base64,");
        let first = texts.next().unwrap();
        let rest = texts.map(|text| text.split_once('"').unwrap().1);
        assert!(
            std::iter::once(first)
                .chain(rest)
                .all(|text| !text.contains(elsewhere)),
            "{elsewhere}"
        );
    }
}

/// The bytes of the page's photos.
fn photos(page: &str) -> Vec<Vec<u8>> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("{letter}"),
    };
    let decode = |text: &str| {
        let bits = text.trim_end_matches('=').bytes().flat_map(|letter| {
            let digit = digit(letter);
            (0..6).rev().map(move |bit| digit >> bit & 1)
        });
        let bits: Vec<u8> = bits.collect();
        let bytes = bits.chunks_exact(8);
        bytes
            .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit))
            .collect()
    };
    let images = page
        .split("<img alt=\"\" src=\"data:image/png;base64,")
        .skip(1);
    images
        .map(|image| decode(image.split_once('"').unwrap().0))
        .collect()
}

#[test]
fn a_whole_report() {
    let temporary = tempfile::tempdir().unwrap();
    // The folder is kept if a user wants to look at the report.
    let kept = std::env::var_os("MOBILENET_KEEP_REPORT");
    let folder = kept.map_or(temporary.path().join("report"), |folder| {
        Path::new(&folder).join("whole")
    });
    let evaluation = evaluation(10, 100);
    let names = NAMES.map(String::from);
    let photo = |image: &WrongImage| WrongPhoto {
        image: *image,
        name: format!("photo <img src=x onerror='alert(1)'> {}", image.image),
        width: 28,
        height: 20,
        rgb: (0..28 * 20 * 3).map(|index| (index % 251) as u8).collect(),
        explained: Some(vec![7; 28 * 20 * 3]),
    };
    let worst: Vec<WrongPhoto> = evaluation.most_wrong().iter().map(photo).collect();
    let recipe = [("optimizer".to_string(), "rms_prop_tf".to_string())];
    let report = Report {
        title: "MobileNetV1 \"0.25\"\non <garments>",
        recipe: &recipe,
        history: &history(),
        evaluation: &evaluation,
        class_names: &names,
        worst: &worst,
    };
    report.write(&folder).unwrap();
    // Writing again replaces the files.
    report.write(&folder).unwrap();

    let page = read(&folder);
    for part in [
        "<h1>MobileNetV1 &quot;0.25&quot; on &lt;garments&gt;</h1>\n",
        "<title>MobileNetV1 &quot;0.25&quot; on &lt;garments&gt;</title>\n",
        "<tr><td>optimizer</td><td>rms_prop_tf</td></tr>\n",
        "<dt>evaluated images</dt><dd>1000</dd>",
        "<dt>Accuracy</dt><dd>78.40 %</dd>",
        "<dt>best Accuracy</dt><dd>90.25 % after epoch 8</dd>",
        "<dt>steps</dt><dd>6000</dd>",
        "<dt>images a second, median</dt><dd>23</dd>",
        "<tr><td>T-shirt&quot; onload=&quot;top</td><td class=\"number\">100</td>\
         <td class=\"number\">35.71 %</td><td class=\"number\">100.00 %</td>\
         <td class=\"number\">52.63 %</td></tr>",
        "<tr><td>&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</td>\
         <td class=\"number\">100</td><td class=\"number\">95.00 %</td>\
         <td class=\"number\">76.00 %</td><td class=\"number\">84.44 %</td></tr>",
        "<b>Loss in training</b> <span class=\"key strong\">smoothed</span>",
        "<b>Accuracy in evaluation</b>",
        "<span class=\"key other\">Recall_5</span>",
        "<h2>Images by label and prediction</h2>",
        "title=\"Bag as Bag: 76.00 %\">76</td>",
        "<small>photo &lt;img src=x onerror=&#39;alert(1)&#39;&gt; ",
    ] {
        assert!(page.contains(part), "no {part:?} in\n{page}");
    }
    for style in ["curve strong", "curve pale", "curve other"] {
        assert_eq!(
            page.matches(&format!("<path class=\"{style}\"")).count(),
            1 + usize::from(style == "curve strong")
        );
    }
    let photos = photos(&page);
    assert_eq!(photos.len(), 3);
    let png = image::load_from_memory(&photos[0]).unwrap().to_rgb8();
    assert_eq!(png.dimensions(), (140, 100));
    assert_eq!(png.get_pixel(4, 4), &image::Rgb([0, 1, 2]));
    assert_eq!(png.get_pixel(5, 0), &image::Rgb([3, 4, 5]));
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
    let page = read(&folder);
    assert!(page.contains("The 40 classes with the most mistakes."));
    assert!(!page.contains("<svg") && !page.contains("Recipe</h2>") && !page.contains("<img"));
    assert!(page.len() < 200_000, "{}", page.len());
    assert_eq!(
        page.matches("<span>a long name of class\u{2026}</span>")
            .count(),
        40
    );
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
            staleness: None,
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
        let page = read(folder.path());
        assert!(page.contains("<dt>evaluated images</dt><dd>0</dd>"));
        assert!(page.contains("<dt>last loss in training</dt><dd>NaN</dd>"));
        assert_eq!(
            page.contains("Loss in training</b>"),
            history.records.len() > 1
        );
        assert!(!page.contains("<table"), "{page}");
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
        explained: None,
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
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
