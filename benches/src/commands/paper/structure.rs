//! Section 3 of the paper: formulas, and tables 1 to 3.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use mobilenet::model::architecture::{Layer, body_layers};
use mobilenet::model::inspect::{LayerSummary, summary};
use mobilenet::model::{BaseConfig, LayerKind, MobileNetV1Config};
use mobilenet_cli::grouped;

use super::figure::{Cost, Printed};

/// Equation 2: kernel side, input channels, output channels, side of the map.
fn full(kernel: f64, inputs: f64, outputs: f64, side: f64) -> f64 {
    kernel * kernel * inputs * outputs * side * side
}

/// Equation 4.
fn depthwise(kernel: f64, inputs: f64, side: f64) -> f64 {
    kernel * kernel * inputs * side * side
}

/// Equations 5 to 7, with width alpha and resolution rho.
fn separable(kernel: f64, inputs: f64, outputs: f64, side: f64, alpha: f64, rho: f64) -> f64 {
    let (inputs, outputs, side) = (alpha * inputs, alpha * outputs, rho * side);
    depthwise(kernel, inputs, side) + inputs * outputs * side * side
}

pub(super) fn formulas() -> Result<String> {
    let layers = body_layers(&BaseConfig::default())?;
    let [least, most] = saving(&layers)?;
    let ratio = |width, side| -> Result<f64> {
        let whole = Cost::mobilenet(1.0, 224, 1000)?.body;
        Ok(Cost::mobilenet(width, side, 1000)?.body / whole)
    };
    let (half, smaller) = (ratio(0.5, 224)?, ratio(1.0, 128)?);
    let rho = 128.0 / 224.0;
    Ok(format!(
        "## Formulas (section 3)\n\n\
         `K` is the kernel's side, `M` and `N` are the input and output channels, `F` is the side of the map.\n\n\
         | equation | what | formula |\n|--:|---|---|\n\
         | 1 | full convolution | `G[k, l, n] = sum over i, j, m of K[i, j, m, n] * F[k + i - 1, l + j - 1, m]` |\n\
         | 2 | its multiply-adds | `K^2 * M * N * F^2` |\n\
         | 3 | depthwise convolution | `G[k, l, m] = sum over i, j of K[i, j, m] * F[k + i - 1, l + j - 1, m]` |\n\
         | 4 | its multiply-adds | `K^2 * M * F^2` |\n\
         | 5 | depthwise separable convolution | `K^2 * M * F^2 + M * N * F^2` |\n\
         | 6 | with width alpha | `K^2 * aM * F^2 + aM * aN * F^2` |\n\
         | 7 | and resolution rho | `K^2 * aM * (rF)^2 + aM * aN * (rF)^2` |\n\n\
         Equation 5 gives the layer table's count for each of the 9 blocks of stride 1, for which it is\n\
         stated. By equation 5 divided by 2, `1/N + 1/K^2`, the blocks cost {least:.1} to {most:.1} times less\n\
         than full convolutions; the paper says 8 to 9 times.\n\n\
         Equations 1 and 3 number the kernel's rows and columns from 1 and centre the first window on the\n\
         first pixel. TensorFlow's SAME does so for stride 1 only.\n\n\
         Roughly by `alpha^2`: width 0.5 costs {half:.3} of width 1 (0.25). By `rho^2`: 128 pixels cost\n\
         {smaller:.4} of 224 ({:.4}).\n\n",
        rho * rho
    ))
}

/// How many times less the blocks of stride 1 cost than full convolutions: least and most. Checks
/// their counts by equation 5.
fn saving(layers: &[Layer]) -> Result<[f64; 2]> {
    let counts = summary(&MobileNetV1Config::default(), 224, 224)?.layers;
    let (mut least, mut most, mut blocks) = (f64::INFINITY, 0.0, 0);
    for (index, pair) in layers.windows(2).enumerate() {
        let [first, second] = pair else { continue };
        if first.endpoint.kind != LayerKind::Depthwise || first.geometry.stride != 1 {
            continue;
        }
        let (inputs, outputs) = (first.in_channels as f64, second.out_channels as f64);
        let side = counts[index].output[0] as f64;
        let cost = separable(3.0, inputs, outputs, side, 1.0, 1.0);
        let counted = counts[index].multiply_adds + counts[index + 1].multiply_adds;
        ensure!(
            cost == counted as f64,
            "{}: {cost}, {counted}",
            first.endpoint
        );
        let times = full(3.0, inputs, outputs, side) / cost;
        (least, most) = (f64::min(least, times), f64::max(most, times));
        blocks += 1;
    }
    ensure!(blocks == 9, "{blocks} blocks of stride 1");
    Ok([least, most])
}

/// Table 1 as printed: kind and stride, filter, input. Five equal pairs of layers are one row there.
const BODY: [(&str, &str, &str); 20] = [
    ("Conv s2", "3x3x3x32", "224x224x3"),
    ("Conv dw s1", "3x3x32", "112x112x32"),
    ("Conv s1", "1x1x32x64", "112x112x32"),
    ("Conv dw s2", "3x3x64", "112x112x64"),
    ("Conv s1", "1x1x64x128", "56x56x64"),
    ("Conv dw s1", "3x3x128", "56x56x128"),
    ("Conv s1", "1x1x128x128", "56x56x128"),
    ("Conv dw s2", "3x3x128", "56x56x128"),
    ("Conv s1", "1x1x128x256", "28x28x128"),
    ("Conv dw s1", "3x3x256", "28x28x256"),
    ("Conv s1", "1x1x256x256", "28x28x256"),
    ("Conv dw s2", "3x3x256", "28x28x256"),
    ("Conv s1", "1x1x256x512", "14x14x256"),
    ("Conv dw s1", "3x3x512", "14x14x512"),
    ("Conv s1", "1x1x512x512", "14x14x512"),
    ("Conv dw s2", "3x3x512", "14x14x512"),
    ("Conv s1", "1x1x512x1024", "7x7x512"),
    ("Conv dw s2", "3x3x1024", "7x7x1024"),
    ("Conv s1", "1x1x1024x1024", "7x7x1024"),
    ("Avg Pool s1", "Pool 7x7", "7x7x1024"),
];

/// Layers of the body for each printed row: the pair that stands for five has the layers of its
/// first.
fn printed_layers() -> impl Iterator<Item = usize> {
    (0..15).chain(23..27)
}

pub(super) fn table_1() -> Result<String> {
    let layers = body_layers(&BaseConfig::default())?;
    let outputs = summary(&MobileNetV1Config::default(), 224, 224)?.layers;
    let mut text = "## Table 1: the body\n\n\
        The rows of 512 channels at 14x14 stand for five pairs.\n\n\
        | printed | filter | input | recomputed | filter | input | finding |\n\
        |---|---|---|---|---|---|---|\n"
        .to_string();
    let mut differing = Vec::new();
    for (printed, index) in BODY.iter().zip(printed_layers()) {
        let layer = &layers[index];
        let (inputs, outputs_of, stride) =
            (layer.in_channels, layer.out_channels, layer.geometry.stride);
        let side = index
            .checked_sub(1)
            .map_or(224, |before| outputs[before].output[0]);
        let found = match layer.endpoint.kind {
            LayerKind::Depthwise => (format!("Conv dw s{stride}"), format!("3x3x{inputs}")),
            LayerKind::Conv => (
                format!("Conv s{stride}"),
                format!("3x3x{inputs}x{outputs_of}"),
            ),
            LayerKind::Pointwise => (
                format!("Conv s{stride}"),
                format!("1x1x{inputs}x{outputs_of}"),
            ),
        };
        let input = format!("{side}x{side}x{inputs}");
        let agrees = (printed.0, printed.1, printed.2) == (&found.0, &found.1, &input);
        if !agrees {
            differing.push(layer.endpoint.to_string());
        }
        let finding = match agrees {
            true => "agrees",
            false => "**typo**: with stride 2 its output would be 4x4, but the next row reads 7x7",
        };
        let (kind, filter, size) = printed;
        writeln!(
            text,
            "| {kind} | {filter} | {size} | {} | {} | {input} | {finding} |",
            found.0, found.1
        )?;
    }
    ensure!(
        differing == ["Conv2d_13_depthwise"],
        "rows differ: {differing:?}"
    );
    let (kind, filter, size) = BODY[19];
    writeln!(
        text,
        "| {kind} | {filter} | {size} | Avg Pool s2 | Pool 7x7 | 7x7x1024 | slim's pool has stride 2, \
         which matters only for images larger than 224 |\n\
         | FC s1 | 1024x1000 | 1x1x1024 | Conv s1 with bias | 1x1x1024x1000 | 1x1x1024 | agrees |\n"
    )?;
    Ok(text)
}

pub(super) fn table_2() -> Result<String> {
    let config = MobileNetV1Config::default();
    let layers = summary(&config, 224, 224)?.layers;
    // Beside its weights, a layer of the body has four values a channel for batch norm.
    let weights = |layer: &LayerSummary| match &*layer.kind {
        "logits" => layer.parameters - layer.output[2],
        _ => layer.parameters - 4 * layer.output[2],
    };
    let sums = |kind: &str| {
        let of_kind = layers
            .iter()
            .filter(|layer| layer.kind == kind || kind.is_empty());
        of_kind.fold((0.0, 0.0), |(adds, parameters), layer| {
            let own = weights(layer) as f64;
            (adds + layer.multiply_adds as f64, parameters + own)
        })
    };
    let (adds, parameters) = sums("");
    let mut text = format!(
        "## Table 2: share of each kind of layer\n\n\
         Of {} multiply-adds and {} weights, the classifier for 1000 classes included, without\n\
         biases and batch norm.\n\n\
         | kind | % of multiply-adds | recomputed | % of parameters | recomputed | finding |\n\
         |---|--:|--:|--:|--:|---|\n",
        grouped(adds as u64),
        grouped(parameters as u64)
    );
    for (name, kind, of_adds, of_parameters, note) in [
        ("Conv 1x1", "pointwise", "94.86", "74.59", ""),
        ("Conv dw 3x3", "depthwise", "3.06", "1.06", ""),
        (
            "Conv 3x3",
            "conv",
            "1.19",
            "0.02",
            "**typo**, digits swapped: the printed column sums to 99.29",
        ),
        ("Fully connected", "logits", "0.18", "24.33", ""),
    ] {
        let (own_adds, own_parameters) = sums(kind);
        let (own_adds, own_parameters) =
            (100.0 * own_adds / adds, 100.0 * own_parameters / parameters);
        let agree = [(of_adds, own_adds), (of_parameters, own_parameters)]
            .iter()
            .all(|&(printed, count)| Printed::Exact(printed).agrees(&[("", count)]).is_some());
        ensure!(agree == note.is_empty(), "table 2: {name}: agrees: {agree}");
        let finding = if agree { "agrees" } else { note };
        writeln!(
            text,
            "| {name} | {of_adds} | {own_adds:.3} | {of_parameters} | {own_parameters:.3} | {finding} |"
        )?;
    }
    Ok(text + "\n")
}

pub(super) fn table_3() -> Result<String> {
    let million = 1e6;
    let rows = [
        (
            "convolution",
            full(3.0, 512.0, 512.0, 14.0),
            9.0 * 512.0 * 512.0,
            "462",
            "2.36",
        ),
        (
            "depthwise separable",
            separable(3.0, 512.0, 512.0, 14.0, 1.0, 1.0),
            512.0 * (9.0 + 512.0),
            "52.3",
            "0.27",
        ),
        (
            "alpha 0.75",
            separable(3.0, 512.0, 512.0, 14.0, 0.75, 1.0),
            384.0 * (9.0 + 384.0),
            "29.6",
            "0.15",
        ),
        (
            "rho 0.714",
            separable(3.0, 512.0, 512.0, 14.0, 0.75, 10.0 / 14.0),
            384.0 * (9.0 + 384.0),
            "15.1",
            "0.15",
        ),
    ];
    let mut text = "## Table 3: one layer, changed step by step\n\n\
        Kernel 3, 512 input and output channels, a map of 14 (after rho, 10).\n\n\
        | layer | M multiply-adds | recomputed | M parameters | recomputed | finding |\n\
        |---|--:|--:|--:|--:|---|\n"
        .to_string();
    for (name, adds, parameters, printed_adds, printed_parameters) in rows {
        let (adds, parameters) = (adds / million, parameters / million);
        for (printed, count) in [(printed_adds, adds), (printed_parameters, parameters)] {
            let agrees = Printed::Exact(printed).agrees(&[("", count)]);
            ensure!(agrees.is_some(), "table 3: {name}: {printed}, {count}");
        }
        writeln!(
            text,
            "| {name} | {printed_adds} | {adds:.2} | {printed_parameters} | {parameters:.3} | agrees |"
        )?;
    }
    Ok(text + "\n")
}
