//! The report's page in Markdown.

use std::fmt::Write;

use super::contents::{MOST_CLASSES, Report};
use super::photos;

pub(super) fn markdown(report: &Report, figures: &[&str]) -> String {
    let mut page = format!("# {}\n", one_line(report.title));
    recipe(&mut page, report);
    results(&mut page, report);
    curves(&mut page, figures);
    classes(&mut page, report, figures);
    worst(&mut page, report);
    page
}

/// Text on one line, escaped so that it breaks neither a table nor a heading.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words
        .replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;")
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn table(page: &mut String, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        page.push('|');
        for cell in cells {
            let _ = write!(page, " {cell} |");
        }
        page.push('\n');
    };
    line(&mut head.iter().copied());
    line(&mut head.iter().map(|_| "---"));
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

fn recipe(page: &mut String, report: &Report) {
    if report.recipe.is_empty() {
        return;
    }
    page.push_str("\n## Recipe\n\n");
    let rows = report.recipe.iter();
    let rows = rows.map(|(setting, value)| vec![one_line(setting), one_line(value)]);
    table(page, &["setting", "value"], rows);
}

fn results(page: &mut String, report: &Report) {
    page.push_str("\n## Result\n\n");
    let accuracy = report.evaluation.accuracy();
    let mut rows = vec![
        ("evaluated images", accuracy.images().to_string()),
        ("Accuracy", percent(accuracy.accuracy())),
        ("Recall_5", percent(accuracy.recall_5())),
        ("cross-entropy", format!("{:.4}", report.evaluation.loss())),
    ];
    let epochs = report.history.epochs();
    if let Some(best) = epochs.max_by(|a, b| a.accuracy.total_cmp(&b.accuracy)) {
        let text = format!("{} after epoch {}", percent(best.accuracy), best.epoch);
        rows.push(("best Accuracy", text));
    }
    if let Some(last) = report.history.steps().last() {
        rows.push(("steps", last.step.to_string()));
        rows.push(("last loss in training", format!("{:.4}", last.loss)));
    }
    let steps = report.history.steps();
    let mut speeds: Vec<f64> = steps.map(|step| step.images_per_second).collect();
    speeds.sort_by(f64::total_cmp);
    if let Some(median) = speeds.get(speeds.len() / 2) {
        rows.push(("images a second, median", format!("{median:.1}")));
    }
    let rows = rows.into_iter();
    let rows = rows.map(|(figure, value)| vec![figure.to_string(), value]);
    table(page, &["figure", "value"], rows);
}

fn curves(page: &mut String, figures: &[&str]) {
    for (file, text) in [
        ("loss.svg", "Loss in training"),
        ("accuracy.svg", "Accuracy in evaluation"),
    ] {
        if figures.contains(&file) {
            let _ = write!(page, "\n![{text}]({file})\n");
        }
    }
}

fn classes(page: &mut String, report: &Report, figures: &[&str]) {
    let matrix = report.evaluation.confusion();
    let shown = matrix.most_confused(MOST_CLASSES);
    if shown.is_empty() {
        return;
    }
    page.push_str("\n## Classes\n\n");
    if matrix.most_confused(usize::MAX).len() > shown.len() {
        let _ = writeln!(page, "The {MOST_CLASSES} classes with the most mistakes.\n");
    }
    let metrics = matrix.class_metrics();
    let rows = shown.into_iter().map(|class| {
        let figures = metrics[class];
        vec![
            one_line(&report.class_name(class)),
            figures.images.to_string(),
            percent(figures.precision),
            percent(figures.recall),
            percent(figures.f1),
        ]
    });
    table(
        page,
        &["class", "images", "precision", "recall", "F1"],
        rows,
    );
    if figures.contains(&"confusion.svg") {
        page.push_str("\n![Images by label and prediction](confusion.svg)\n");
    }
}

fn worst(page: &mut String, report: &Report) {
    if report.worst.is_empty() {
        return;
    }
    page.push_str("\n## Photos with the highest loss\n\n");
    let rows = report.worst.iter().enumerate().map(|(index, photo)| {
        let image = photo.image;
        vec![
            format!("![]({})", photos::file_name(index)),
            one_line(&photo.name),
            one_line(&report.class_name(image.label)),
            one_line(&report.class_name(image.predicted)),
            percent(f64::from(image.probability)),
            format!("{:.2}", image.loss),
        ]
    });
    let head = [
        "",
        "photo",
        "label",
        "prediction",
        "its probability",
        "loss",
    ];
    table(page, &head, rows);
}
