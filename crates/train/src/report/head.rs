//! The page of attributes or an embedding.

use std::fmt::Write;
use std::path::Path;

use super::settings::settings;
use super::text::{escaped, percent};
use super::{FILE, curves, shell};
use crate::error::TrainError;
use crate::file::write_atomically;
use crate::heads::{FALSE_ACCEPTS, HeadMetrics, HeadOutcome};
use crate::log::History;
use crate::metrics::{AttributeMetrics, Verification, worst_first};
use crate::recipe::Recipe;

/// Most attributes in the table.
const MOST_ATTRIBUTES: usize = 200;

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub struct HeadReport<'a> {
    /// Its heading.
    pub title: &'a str,
    /// The settings of the training, if the page is of one.
    pub recipe: Option<&'a Recipe>,
    /// The log of the training.
    pub history: &'a History,
    /// The last evaluation.
    pub outcome: &'a HeadOutcome,
}

impl HeadReport<'_> {
    /// Writes [`FILE`] to a folder, which is created if necessary.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let page = self.html();
        std::fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
        write_atomically(&folder.join(FILE), page.as_bytes())
    }

    fn html(&self) -> String {
        let (measure, value) = self.outcome.measured();
        let value = value.map_or("none".to_string(), |value| format!("{value:.4}"));
        let mut figures = vec![
            (measure.name(), value),
            ("evaluated photos", self.outcome.photos.to_string()),
        ];
        let (mut roc, mut table) = (None, String::new());
        match &self.outcome.metrics {
            HeadMetrics::Attributes(attributes) => table = attribute_table(attributes),
            HeadMetrics::Verification(pairs) => {
                let [same, different] = pairs.pairs().map(|count| count.to_string());
                figures.push(("pairs that show the same", same));
                figures.push(("other pairs", different));
                roc = Some(curves::operating_characteristic(pairs));
                table = accepts_table(pairs);
            }
            HeadMetrics::Cosine(_) => (),
        }
        let parts = [
            shell::figures(&figures),
            shell::charts([
                curves::loss(self.history),
                curves::measure(self.history),
                roc,
            ]),
            table,
            shell::recipe(&self.recipe.map(settings).unwrap_or_default()),
        ];
        shell::page(self.title, &parts)
    }
}

fn attribute_table(attributes: &[AttributeMetrics]) -> String {
    let mut table = table(
        "Attributes",
        &["attribute", "photos", "with it", "average precision"],
    );
    for one in worst_first(attributes).into_iter().take(MOST_ATTRIBUTES) {
        let precision = one.average_precision.map_or("none".to_string(), percent);
        let (photos, positives) = (one.photos.to_string(), one.positives.to_string());
        row(&mut table, &one.name, &[photos, positives, precision]);
    }
    table + "</table>\n</div>\n"
}

fn accepts_table(pairs: &Verification) -> String {
    let mut table = table("Verification", &["false accepts", "true accepts"]);
    for rate in FALSE_ACCEPTS {
        let accepts = pairs.true_accepts(rate);
        let accepts = accepts.map_or("too few pairs".to_string(), percent);
        row(&mut table, &percent(rate), &[accepts]);
    }
    table + "</table>\n</div>\n"
}

fn table(title: &str, columns: &[&str]) -> String {
    let mut table = format!("<h2>{title}</h2>\n<div class=\"wide\">\n<table class=\"list\">\n<tr>");
    for (place, column) in columns.iter().enumerate() {
        let class = if place > 0 { " class=\"number\"" } else { "" };
        let _ = write!(table, "<th{class}>{column}</th>");
    }
    table + "</tr>\n"
}

fn row(table: &mut String, name: &str, fields: &[String]) {
    let _ = write!(table, "<tr><td>{}</td>", escaped(name));
    for field in fields {
        let _ = write!(table, "<td class=\"number\">{field}</td>");
    }
    table.push_str("</tr>\n");
}
