//! A detector's page.

use std::fmt::Write;
use std::path::Path;

use mobilenet_detect::voc_precision::VocMetrics;

use super::text::{escaped, percent};
use super::{FILE, curves, photos, shell};
use crate::error::TrainError;
use crate::file::write_atomically;
use crate::log::History;

/// Longest side of a photo on the page: boxes and names must be readable.
const SIDE: u32 = 400;

/// A photo with boxes drawn on it.
#[derive(Debug, Clone)]
pub(crate) struct DrawnPhoto {
    pub(crate) name: String,
    pub(crate) missed: usize,
    pub(crate) wrong: usize,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rgb: Vec<u8>,
}

/// The contents of the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DetectorPage<'a> {
    pub(crate) title: &'a str,
    pub(crate) figures: &'a [(&'static str, Option<f64>)],
    /// Photos and objects.
    pub(crate) counts: [usize; 2],
    pub(crate) history: &'a History,
    /// By name.
    pub(crate) classes: &'a [(String, VocMetrics)],
    pub(crate) photos: &'a [DrawnPhoto],
    pub(crate) recipe: &'a [(String, String)],
}

impl DetectorPage<'_> {
    /// Writes [`FILE`] to a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let page = self.html()?;
        std::fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
        write_atomically(&folder.join(FILE), page.as_bytes())
    }

    fn html(&self) -> Result<String, TrainError> {
        let [photos, objects] = self.counts.map(|count| count.to_string());
        let known = |share: Option<f64>| share.map_or("none".to_string(), percent);
        let figures = self
            .figures
            .iter()
            .map(|&(name, share)| (name, known(share)));
        let counts = [("evaluated photos", photos), ("objects", objects)];
        let figures: Vec<(&str, String)> = figures.chain(counts).collect();
        let parts = [
            shell::figures(&figures),
            shell::charts([
                curves::loss(self.history),
                curves::average_precision(self.history),
            ]),
            self.worst()?,
            self.classes(),
            shell::recipe(self.recipe),
        ];
        Ok(shell::page(self.title, &parts))
    }

    fn worst(&self) -> Result<String, TrainError> {
        if self.photos.is_empty() {
            return Ok(String::new());
        }
        let mut section = "<h2>Photos with the most mistakes</h2>\n<p>Objects that were missed, \
            detections that are wrong, and those that are right, with scores of at least 50 %.</p>\n\
            <div class=\"photos\">\n"
            .to_string();
        for photo in self.photos {
            let size = [photo.height, photo.width];
            let _ = writeln!(
                section,
                "<figure><img alt=\"\" src=\"{}\">\n<figcaption><dl><dt>missed</dt><dd>{}</dd>\
                 <dt>wrong</dt><dd>{}</dd></dl><small>{}</small></figcaption></figure>",
                photos::data_uri(&photo.name, size, SIDE, &photo.rgb)?,
                photo.missed,
                photo.wrong,
                escaped(&photo.name)
            );
        }
        Ok(section + "</div>\n")
    }

    fn classes(&self) -> String {
        if self.classes.is_empty() {
            return String::new();
        }
        let mut table = "<h2>Classes</h2>\n<div class=\"wide\">\n<table class=\"list\">\n\
             <tr><th>class</th><th class=\"number\">VOC AP</th><th class=\"number\">11 points</th></tr>\n"
            .to_string();
        for (name, metrics) in self.classes {
            let _ = write!(table, "<tr><td>{}</td>", escaped(name));
            for share in [metrics.ap, metrics.ap_11] {
                let share = share.map_or("none".to_string(), percent);
                let _ = write!(table, "<td class=\"number\">{share}</td>");
            }
            table.push_str("</tr>\n");
        }
        table + "</table>\n</div>\n"
    }
}
