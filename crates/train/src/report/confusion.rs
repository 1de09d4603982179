//! The confusion matrix as a table. Rows are labels, columns predictions. The shade is the share of
//! the row.

use std::fmt::Write;

use super::contents::{MOST_CLASSES, Report};
use super::text::{escaped, percent};

/// Longest name, in characters.
const NAME: usize = 22;

/// More classes than this have small cells.
const LARGE_CELLS: usize = 16;

/// The table. `None` if nothing was evaluated.
pub(super) fn matrix(report: &Report) -> Option<String> {
    let matrix = report.evaluation.confusion();
    let classes = matrix.most_confused(MOST_CLASSES);
    if classes.is_empty() {
        return None;
    }
    let names: Vec<String> = classes
        .iter()
        .map(|&class| escaped(&shortened(&report.class_name(class))))
        .collect();
    let size = if classes.len() > LARGE_CELLS {
        " small"
    } else {
        ""
    };
    let mut table = format!("<table class=\"matrix{size}\">\n<tr><td></td>");
    for name in &names {
        let _ = write!(table, "<th><span>{name}</span></th>");
    }
    table.push_str("</tr>\n");
    let metrics = matrix.class_metrics();
    for (&label, name) in classes.iter().zip(&names) {
        let _ = write!(table, "<tr><th>{name}</th>");
        for (&predicted, prediction) in classes.iter().zip(&names) {
            let count = matrix.count(label, predicted);
            if count == 0 {
                table.push_str("<td></td>");
                continue;
            }
            let share = count as f64 / metrics[label].images.max(1) as f64;
            // By the square root, so that a few images are still visible.
            let strength = share.sqrt();
            let kind = if label == predicted { "right" } else { "wrong" };
            let strong = if share > 0.5 { " strong" } else { "" };
            let _ = write!(
                table,
                "<td class=\"{kind}{strong}\" style=\"--share:{strength:.2}\" \
                 title=\"{name} as {prediction}: {}\">{count}</td>",
                percent(share)
            );
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</table>\n");
    Some(table)
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_string();
    }
    let start: String = name.chars().take(NAME - 1).collect();
    format!("{}\u{2026}", start.trim_end())
}
