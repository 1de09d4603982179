//! What all pages have around their parts, and parts that several pages have.

use std::fmt::Write;

use super::text::escaped;

/// Forbids the page to load anything, should a name ever be taken for markup.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

const STYLE: &str = include_str!("page.css");

/// A page of these parts.
pub(super) fn page(title: &str, parts: &[String]) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{}</main>\n</body>\n</html>\n",
        parts.concat()
    )
}

/// Numbers with their names.
pub(super) fn figures(figures: &[(&str, String)]) -> String {
    let mut list = "<dl class=\"figures\">\n".to_string();
    for (name, value) in figures {
        let _ = writeln!(list, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    list + "</dl>\n"
}

/// Curves side by side.
pub(super) fn charts(figures: impl IntoIterator<Item = Option<String>>) -> String {
    let figures: String = figures.into_iter().flatten().collect();
    if figures.is_empty() {
        return figures;
    }
    format!("<div class=\"charts\">\n{figures}</div>\n")
}

/// Settings of a training.
pub(super) fn recipe(settings: &[(String, String)]) -> String {
    if settings.is_empty() {
        return String::new();
    }
    let mut table = "<h2>Recipe</h2>\n<table class=\"list\">\n".to_string();
    for (setting, value) in settings {
        let (setting, value) = (escaped(setting), escaped(value));
        let _ = writeln!(table, "<tr><td>{setting}</td><td>{value}</td></tr>");
    }
    table + "</table>\n"
}
