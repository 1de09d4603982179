//! The report's page in HTML.

use std::fmt::Write;

use super::contents::{MOST_CLASSES, Report, WrongPhoto};
use super::text::{escaped, percent};
use super::{confusion, curves, photos, shell};
use crate::error::TrainError;

pub(super) fn html(report: &Report) -> Result<String, TrainError> {
    let parts = [
        results(report),
        shell::charts([
            curves::loss(report.history),
            curves::accuracy(report.history),
        ]),
        matrix(report),
        worst(report)?,
        classes(report),
        shell::recipe(report.recipe),
    ];
    Ok(shell::page(report.title, &parts))
}

fn results(report: &Report) -> String {
    let accuracy = report.evaluation.accuracy();
    let mut figures = vec![
        ("Accuracy", percent(accuracy.accuracy())),
        ("Recall_5", percent(accuracy.recall_5())),
        ("cross-entropy", four_digits(report.evaluation.loss())),
        ("evaluated images", accuracy.images().to_string()),
    ];
    let epochs = report.history.epochs();
    if let Some(best) = epochs.max_by(|a, b| a.accuracy.total_cmp(&b.accuracy)) {
        let text = format!("{} after epoch {}", percent(best.accuracy), best.epoch);
        figures.push(("best Accuracy", text));
    }
    if let Some(last) = report.history.steps().last() {
        figures.push(("steps", last.step.to_string()));
        figures.push(("last loss in training", four_digits(last.loss)));
    }
    let steps = report.history.steps();
    let mut speeds: Vec<f64> = steps.map(|step| step.images_per_second).collect();
    speeds.sort_by(f64::total_cmp);
    if let Some(median) = speeds.get(speeds.len() / 2) {
        let decimals = if *median < 10.0 { 1 } else { 0 };
        figures.push(("images a second, median", format!("{median:.decimals$}")));
    }
    shell::figures(&figures)
}

fn four_digits(loss: f64) -> String {
    format!("{loss:.4}")
}

fn matrix(report: &Report) -> String {
    let Some(table) = confusion::matrix(report) else {
        return String::new();
    };
    let all = report.evaluation.confusion().most_confused(usize::MAX);
    let shown = if all.len() > MOST_CLASSES {
        format!(" The {MOST_CLASSES} classes with the most mistakes.")
    } else {
        String::new()
    };
    format!(
        "<h2>Images by label and prediction</h2>\n<p>Rows are labels, columns predictions. The \
         shade is the share of the row.{shown}</p>\n<div class=\"wide\">\n{table}</div>\n"
    )
}

fn worst(report: &Report) -> Result<String, TrainError> {
    if report.worst.is_empty() {
        return Ok(String::new());
    }
    let explained = match report.worst.iter().any(|photo| photo.explained.is_some()) {
        true => "<p>The second picture shows in red to yellow what spoke for the prediction.</p>\n",
        false => "",
    };
    let mut section =
        format!("<h2>Photos with the highest loss</h2>\n{explained}<div class=\"photos\">\n");
    for photo in report.worst {
        let image = photo.image;
        let explained = match &photo.explained {
            Some(rgb) => format!(
                "<img alt=\"what spoke for the prediction\" src=\"{}\">",
                small(photo, rgb)?
            ),
            None => String::new(),
        };
        let _ = writeln!(
            section,
            "<figure><img alt=\"\" src=\"{}\">{explained}\n<figcaption><dl><dt>label</dt><dd>{}</dd>\
             <dt>prediction</dt><dd><b>{}</b>, {}</dd><dt>loss</dt><dd>{:.2}</dd></dl>\
             <small>{}</small></figcaption></figure>",
            small(photo, &photo.rgb)?,
            escaped(&report.class_name(image.label)),
            escaped(&report.class_name(image.predicted)),
            percent(f64::from(image.probability)),
            image.loss,
            escaped(&photo.name)
        );
    }
    Ok(section + "</div>\n")
}

fn small(photo: &WrongPhoto, rgb: &[u8]) -> Result<String, TrainError> {
    let size = [photo.height, photo.width];
    photos::data_uri(&photo.name, size, photos::SMALL, rgb)
}

fn classes(report: &Report) -> String {
    let matrix = report.evaluation.confusion();
    let shown = matrix.most_confused(MOST_CLASSES);
    if shown.is_empty() {
        return String::new();
    }
    let mut table = "<h2>Classes</h2>\n<div class=\"wide\">\n<table class=\"list\">\n\
         <tr><th>class</th><th class=\"number\">images</th><th class=\"number\">precision</th>\
         <th class=\"number\">recall</th><th class=\"number\">F1</th></tr>\n"
        .to_string();
    let metrics = matrix.class_metrics();
    for class in shown {
        let figures = metrics[class];
        let _ = write!(table, "<tr><td>{}</td>", escaped(&report.class_name(class)));
        let shares = [figures.precision, figures.recall, figures.f1].map(percent);
        for number in [figures.images.to_string()].iter().chain(&shares) {
            let _ = write!(table, "<td class=\"number\">{number}</td>");
        }
        table.push_str("</tr>\n");
    }
    table + "</table>\n</div>\n"
}
