//! The layer table, as plain text and as Markdown.

use mobilenet::model::checkpoint::Compression;
use mobilenet::model::inspect::{LayerSummary, Summary};
use mobilenet::model::quantized::{IntegerSummary, WeightsSummary};

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

/// A table as plain text: `left` columns aligned left, the others right.
pub(crate) fn text<const N: usize>(
    columns: [&str; N],
    rows: &[[String; N]],
    left: usize,
) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.chain([columns[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if column < left {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    let mut lines = vec![line(columns)];
    lines.extend(
        rows.iter()
            .map(|row| line(std::array::from_fn(|i| row[i].as_str()))),
    );
    lines.join("\n")
}

/// The layer table as plain text.
pub(crate) fn plain(summary: &Summary) -> String {
    let rows: Vec<[String; 7]> = summary.layers.iter().map(cells).collect();
    text(COLUMNS, &rows, 2)
}

/// The table of a quantised file's scales and kernels as plain text.
pub(crate) fn scales(layers: &[IntegerSummary]) -> String {
    let rows: Vec<[String; 9]> = layers
        .iter()
        .map(|layer| {
            let weights = layer.weights.as_ref();
            let of_weights =
                |text: &dyn Fn(&WeightsSummary) -> String| weights.map_or("-".to_string(), text);
            [
                layer.name.clone(),
                layer.kernel.to_string(),
                layer.integer.to_string(),
                format!("{:.6}", layer.scale),
                layer.zero_point.to_string(),
                of_weights(&|weights| format!("{} {}", weights.scales, weights.integer)),
                of_weights(&|weights| match weights.scale {
                    [one, other] if one == other => format!("{one:.3e}"),
                    [smallest, largest] => format!("{smallest:.3e} to {largest:.3e}"),
                }),
                of_weights(&|weights| {
                    let zero_point = weights.zero_point;
                    zero_point.map_or("-".to_string(), |zero_point| zero_point.to_string())
                }),
                layer.constants.to_string(),
            ]
        })
        .collect();
    let columns = [
        "layer",
        "kernel",
        "type",
        "scale",
        "zero",
        "weights' scales",
        "from smallest to largest",
        "zero",
        "constant channels",
    ];
    text(columns, &rows, 3)
}

/// The coded layers of compressed weights as plain text.
pub(crate) fn coded(compression: &Compression) -> String {
    let row = |name: &str, weights: usize, bytes: usize, bits: f64| {
        let numbers = [weights, bytes].map(|number| grouped(number as u64));
        let [weights, bytes] = numbers;
        [name.to_string(), weights, bytes, format!("{bits:.2}")]
    };
    let layers = compression.layers.iter();
    let mut rows: Vec<[String; 4]> = layers
        .clone()
        .map(|layer| row(&layer.name, layer.weights, layer.bytes, layer.bits()))
        .collect();
    rows.push(row(
        "all",
        layers.clone().map(|layer| layer.weights).sum(),
        layers.map(|layer| layer.bytes).sum(),
        compression.bits(),
    ));
    let title = format!("coded by {}", compression.method);
    text([&title, "weights", "bytes", "bits a weight"], &rows, 1)
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
