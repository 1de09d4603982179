//! Section 4 of the paper on ImageNet: tables 4 to 9 and the claims of the text.

use anyhow::{Context, Result, ensure};
use mobilenet::model::prior_work::{conv_mobilenet, shallow_mobilenet, summary_of};

use super::figure::Printed::{self, Exact, Round};
use super::figure::{Cost, Row, table};

fn mobilenet(
    name: &'static str,
    (width, side): (f64, usize),
    accuracy: &'static str,
    multiply_adds: &'static str,
    parameters: &'static str,
) -> Result<Row> {
    Ok(Row {
        name,
        accuracy,
        multiply_adds: Exact(multiply_adds),
        parameters: Exact(parameters),
        cost: Some(Cost::mobilenet(width, side, 1000)?),
        note: "",
    })
}

fn other(
    name: &'static str,
    network: &str,
    accuracy: &'static str,
    [multiply_adds, parameters]: [Printed; 2],
    note: &'static str,
) -> Result<Row> {
    Ok(Row {
        name,
        accuracy,
        multiply_adds,
        parameters,
        cost: Some(Cost::of_summary(&summary_of(network, None)?)),
        note,
    })
}

pub(super) fn tables() -> Result<String> {
    let full = || mobilenet("1.0 MobileNet-224", (1.0, 224), "70.6 %", "569", "4.2");
    let narrow = |name| mobilenet(name, (0.75, 224), "68.4 %", "325", "2.6");
    let conv = Row {
        name: "Conv MobileNet",
        accuracy: "71.7 %",
        multiply_adds: Exact("4866"),
        parameters: Exact("29.3"),
        cost: Some(Cost::of_config(&conv_mobilenet(), 224)?),
        note: "",
    };
    let shallow = Row {
        name: "Shallow MobileNet",
        accuracy: "65.3 %",
        multiply_adds: Exact("307"),
        parameters: Exact("2.9"),
        cost: Some(Cost::of_config(&shallow_mobilenet(), 224)?),
        note: "",
    };
    let tables = [
        (
            "Table 4: separable against full convolutions",
            vec![conv, full()?],
        ),
        (
            "Table 5: narrow against shallow",
            vec![narrow("0.75 MobileNet")?, shallow],
        ),
        (
            "Table 6: width",
            vec![
                full()?,
                narrow("0.75 MobileNet-224")?,
                mobilenet("0.5 MobileNet-224", (0.5, 224), "63.7 %", "149", "1.3")?,
                mobilenet("0.25 MobileNet-224", (0.25, 224), "50.6 %", "41", "0.5")?,
            ],
        ),
        (
            "Table 7: resolution",
            vec![
                full()?,
                mobilenet("1.0 MobileNet-192", (1.0, 192), "69.1 %", "418", "4.2")?,
                mobilenet("1.0 MobileNet-160", (1.0, 160), "67.2 %", "290", "4.2")?,
                mobilenet("1.0 MobileNet-128", (1.0, 128), "64.4 %", "186", "4.2")?,
            ],
        ),
        (
            "Table 8: MobileNet against larger networks",
            vec![
                full()?,
                other(
                    "GoogleNet",
                    "googlenet",
                    "69.8 %",
                    [Round("1550"), Exact("6.8")],
                    "6.8 is the sum of the figures in GoogLeNet's own table, see below",
                )?,
                other(
                    "VGG 16",
                    "vgg16",
                    "71.5 %",
                    [Round("15300"), Exact("138")],
                    "15300 is its convolutions alone, without three fully connected layers, see below",
                )?,
            ],
        ),
        (
            "Table 9: a small MobileNet against small and old networks",
            vec![
                mobilenet("0.50 MobileNet-160", (0.5, 160), "60.2 %", "76", "1.32")?,
                other(
                    "Squeezenet",
                    "squeezenet1_0",
                    "57.5 %",
                    [Round("1700"), Exact("1.25")],
                    "1700 counts multiplications and additions apart, see below",
                )?,
                other(
                    "AlexNet",
                    "alexnet",
                    "57.2 %",
                    [Round("720"), Round("60")],
                    "",
                )?,
            ],
        ),
    ];
    let mut text = String::new();
    for (title, rows) in tables {
        text += &format!("## {title}\n\n{}\n", table("ImageNet accuracy", &rows)?);
    }
    Ok(text + &explanations()? + &claims()?)
}

/// Thousands of parameters of each part of GoogLeNet, as table 1 of its paper prints them.
const GOOGLENET: [f64; 12] = [
    2.7, 112.0, 159.0, 380.0, 364.0, 437.0, 463.0, 580.0, 840.0, 1072.0, 1388.0, 1000.0,
];

/// How figures come about that are not counts of the whole network.
fn explanations() -> Result<String> {
    let counts = summary_of("squeezenet1_0", Some([227, 227]))?;
    let last = counts.layers.last().context("SqueezeNet has layers")?;
    let [rows, columns, _] = last.output;
    let padded = last.multiply_adds as usize / (rows * columns) * (rows + 2) * (columns + 2);
    let squeezenet = (counts.body_multiply_adds as f64 + padded as f64) / 1e6;
    let vgg: u64 = summary_of("vgg16", None)?
        .layers
        .iter()
        .filter(|layer| layer.name.starts_with("features"))
        .map(|layer| layer.multiply_adds)
        .sum();
    let vgg = vgg as f64 / 1e6;
    let googlenet = GOOGLENET.iter().sum::<f64>() / 1e3;
    for (printed, count) in [
        (Round("1700"), 2.0 * squeezenet),
        (Round("15300"), vgg),
        (Exact("6.8"), googlenet),
    ] {
        let agrees = printed.agrees(&[("", count)]);
        ensure!(agrees.is_some(), "{printed:?}: {count}");
    }
    Ok(format!(
        "SqueezeNet 1.0 at 227 pixels, with its last layer padded by 1 as in Caffe's file, has {squeezenet:.1} M\n\
         multiply-adds; twice as many are 1700 M rounded. The other rows of the table are multiply-adds.\n\
         VGG 16 without its three fully connected layers has {vgg:.1} M. The parameters that the parts of GoogLeNet\n\
         have by its own paper sum to {googlenet:.2} M; the channels in the same table give more.\n\n"
    ))
}

fn claims() -> Result<String> {
    let million = |network| -> Result<[f64; 2]> {
        let cost = Cost::of_summary(&summary_of(network, None)?);
        Ok([cost.whole, cost.weights])
    };
    let [large, small] = [
        Cost::mobilenet(1.0, 224, 1000)?,
        Cost::mobilenet(0.5, 160, 1000)?,
    ];
    let [vgg, googlenet, alexnet, squeezenet] = [
        million("vgg16")?,
        million("googlenet")?,
        million("alexnet")?,
        million("squeezenet1_0")?,
    ];
    Ok(format!(
        "## Claims of the text\n\n\
         | claim | by the printed figures | recomputed |\n|---|--:|--:|\n\
         | 32 times smaller than VGG 16 | {:.1} | {:.1} |\n\
         | 27 times less compute than VGG 16 | {:.1} | {:.1} |\n\
         | more than 2.5 times less compute than GoogleNet | {:.1} | {:.1} |\n\
         | 0.50-160 is 45 times smaller than AlexNet | {:.1} | {:.1} |\n\
         | with 9.4 times less compute | {:.1} | {:.1} |\n\
         | 22 times less compute than Squeezenet | {:.1} | **{:.1}**, if both are counted alike |\n\
         | about 4 % better than AlexNet | {:.1} points | - |\n\
         | about 4 % better than Squeezenet | {:.1} points | - |\n\n",
        138.0 / 4.2,
        vgg[1] / large.weights,
        15300.0 / 569.0,
        vgg[0] / large.whole,
        1550.0 / 569.0,
        googlenet[0] / large.whole,
        60.0 / 1.32,
        alexnet[1] / small.weights,
        720.0 / 76.0,
        alexnet[0] / small.whole,
        1700.0 / 76.0,
        squeezenet[0] / small.whole,
        60.2 - 57.2,
        60.2 - 57.5,
    ))
}
