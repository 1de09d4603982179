//! The layer table, as plain text and as Markdown.

use mobilenet::model::inspect::{LayerSummary, Summary};

const COLUMNS: [&str; 7] = [
    "layer",
    "kind",
    "stride",
    "dilation",
    "output",
    "parameters",
    "multiply-adds",
];

/// Groups the digits by three: 1234567 -> 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn cells(layer: &LayerSummary) -> [String; 7] {
    let [height, width, channels] = layer.output;
    [
        layer.name.clone(),
        layer.kind.to_string(),
        layer.stride.to_string(),
        layer.dilation.to_string(),
        format!("{height}x{width}x{channels}"),
        grouped(layer.parameters as u64),
        grouped(layer.multiply_adds),
    ]
}

/// The layer table as plain text: names aligned left, numbers right.
pub(crate) fn plain(summary: &Summary) -> String {
    let rows: Vec<[String; 7]> = summary.layers.iter().map(cells).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.chain([COLUMNS[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |cells: [&str; 7]| {
        let padded = cells
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if column < 2 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    let mut lines = vec![line(COLUMNS)];
    lines.extend(
        rows.iter()
            .map(|row| line(std::array::from_fn(|i| row[i].as_str()))),
    );
    lines.join("\n")
}

/// The layer table in Markdown.
pub fn markdown(summary: &Summary) -> String {
    let mut lines = vec![
        format!("| {} |", COLUMNS.join(" | ")),
        "|---|---|--:|--:|--:|--:|--:|".to_string(),
    ];
    lines.extend(
        summary
            .layers
            .iter()
            .map(|layer| format!("| {} |", cells(layer).join(" | "))),
    );
    lines.join("\n")
}
