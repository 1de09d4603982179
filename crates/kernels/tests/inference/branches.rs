//! Branches: convolutions that read a layer in the middle of the chain, on every instruction set,
//! against the naive reference.

use std::sync::Arc;

use mobilenet_kernels::inference::{
    BranchShape, ConvKind, ImageLayout, Images, Output, PackedWeights, Packer, Program,
    ProgramConfig, WeightType,
};
use mobilenet_kernels::simd::Isa;
use mobilenet_kernels::{Activation, ConvGeometry, KernelError, Padding};

use crate::instruction_sets::on_each_instruction_set;
use crate::layers::{Owned, assert_within, config, window};
use crate::random::values;

on_each_instruction_set! {
    branches_equal_reference
}

/// Layers around which a map has a border or none, and what reads them.
fn network() -> (Vec<Owned>, Vec<(usize, Owned)>) {
    let spatial = |kind, channels, stride, seed| {
        let window = window([3, 3], stride, 1, Padding::Same);
        Owned::new(kind, window, channels, Activation::Relu6, seed)
    };
    let pointwise = |channels, activation, seed| {
        Owned::new(
            ConvKind::Conv,
            ConvGeometry::POINTWISE,
            channels,
            activation,
            seed,
        )
    };
    let chain = vec![
        spatial(ConvKind::Conv, [3, 16], 2, 1),
        spatial(ConvKind::Depthwise, [16, 16], 1, 2),
        pointwise([16, 64], Activation::Relu6, 3),
        spatial(ConvKind::Conv, [64, 24], 2, 4),
        spatial(ConvKind::Depthwise, [24, 24], 1, 5),
        pointwise([24, 40], Activation::Relu6, 6),
    ];
    let branch = |channels, seed| pointwise(channels, Activation::Identity, seed);
    // Of each kind of layer; two of one layer; the first and the last.
    let branches = vec![
        (2, branch([64, 12], 11)),
        (2, branch([64, 273], 12)),
        (0, branch([16, 5], 13)),
        (1, branch([16, 24], 14)),
        (3, branch([24, 7], 15)),
        (5, branch([40, 33], 16)),
    ];
    (chain, branches)
}

fn packed(isa: Isa, chain: &[Owned], branches: &[(usize, Owned)]) -> PackedWeights {
    let shapes: Vec<_> = chain.iter().map(|layer| layer.layer().shape).collect();
    let beside: Vec<BranchShape> = branches
        .iter()
        .map(|(reads, layer)| BranchShape {
            reads: *reads,
            shape: layer.layer().shape,
        })
        .collect();
    let mut packer = Packer::with_branches(WeightType::F32, isa, &shapes, &beside, None).unwrap();
    for layer in chain.iter().chain(branches.iter().map(|(_, layer)| layer)) {
        packer
            .layer(layer.layer().weights, layer.layer().bias)
            .unwrap();
    }
    packer.finish().unwrap()
}

fn branches_equal_reference(isa: Isa) {
    let (chain, branches) = network();
    let weights = Arc::new(packed(isa, &chain, &branches));
    let (height, width) = (21, 34);
    let image = values(7, height * width * 3);
    let mut maps = vec![(image.clone(), height, width)];
    for layer in &chain {
        let (map, h, w) = &maps[maps.len() - 1];
        maps.push(layer.reference(map, *h, *w));
    }
    let last = chain.len() - 1;
    for (outputs, chain_runs) in [
        ((0..6).map(Output::Branch).collect::<Vec<_>>(), last),
        (
            vec![
                Output::Branch(4),
                Output::Map(2),
                Output::Branch(0),
                Output::Branch(4),
            ],
            last,
        ),
        // The chain ends where the branch reads.
        (vec![Output::Branch(1)], 2),
    ] {
        for threads in [1, 2, 3] {
            let config = ProgramConfig {
                outputs: outputs.clone(),
                geometries: chain[..=chain_runs]
                    .iter()
                    .map(|l| l.layer().shape.geometry)
                    .collect(),
                ..config(&chain, height, width, Output::Map(last), threads)
            };
            let mut program = Program::new(weights.clone(), &config).unwrap();
            let shapes = program.output_shapes().to_vec();
            let mut found: Vec<Vec<f32>> = shapes
                .iter()
                .map(|shape| vec![f32::NAN; 4 * shape.iter().product::<usize>()])
                .collect();
            let images = image.repeat(4);
            let images = Images::F32(&images, ImageLayout::Nhwc);
            let mut slices: Vec<_> = found.iter_mut().map(Vec::as_mut_slice).collect();
            program.run_all(&images, &mut slices).unwrap();
            for ((output, found), shape) in outputs.iter().zip(&found).zip(shapes) {
                let (expected, h, w) = match *output {
                    Output::Branch(index) => {
                        let (reads, layer) = &branches[index];
                        let (map, h, w) = &maps[reads + 1];
                        layer.reference(map, *h, *w)
                    }
                    Output::Map(layer) => maps[layer + 1].clone(),
                    _ => unreachable!("not asked for"),
                };
                assert_eq!(shape[..2], [h, w]);
                let what = format!("{isa}, {threads} threads, {output:?}");
                assert_within(2e-5, found, &expected.repeat(4), &what);
            }
        }
    }
}

#[test]
fn impossible_branches_are_refused() {
    let (chain, branches) = network();
    let shapes: Vec<_> = chain.iter().map(|layer| layer.layer().shape).collect();
    let good = BranchShape {
        reads: 2,
        shape: branches[0].1.layer().shape,
    };
    let with = |branch: BranchShape| {
        Packer::with_branches(WeightType::F32, Isa::Scalar, &shapes, &[branch], None).map(drop)
    };
    with(good).unwrap();
    // No such layer, a layer of other channels, a window of nine pixels.
    assert!(with(BranchShape { reads: 6, ..good }).is_err());
    assert!(with(BranchShape { reads: 0, ..good }).is_err());
    let mut wide = good;
    wide.shape.geometry.kernel = [3, 3];
    assert!(matches!(with(wide), Err(KernelError::Unsupported { .. })));
    // An output that is not there, or that reads beyond the layers that run.
    let weights = Arc::new(packed(Isa::Scalar, &chain, &branches));
    for (output, runs) in [(Output::Branch(6), chain.len()), (Output::Branch(5), 3)] {
        let config = ProgramConfig {
            geometries: shapes[..runs].iter().map(|shape| shape.geometry).collect(),
            ..config(&chain, 20, 20, output, 1)
        };
        assert!(Program::new(weights.clone(), &config).is_err());
    }
}
