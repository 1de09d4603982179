//! Photos become the same input as by the library that the weights were made with: exactly for
//! TensorFlow's interpolation, within one step of 8 bits for Pillow's filters.

use mobilenet_model::preprocess::{self, CropRounding, Photo, Preprocessing};
use mobilenet_web::{Filter, Module, Resize, Rule, write};

use mobilenet_kernels::inference::{ConvKind, LayerShape};
use mobilenet_kernels::{Activation, ConvGeometry};

fn noise(count: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn rule_of(rule: &Preprocessing) -> Rule {
    let filter = |filter| match filter {
        preprocess::Filter::Bilinear => Filter::Bilinear,
        preprocess::Filter::Bicubic => Filter::Bicubic,
    };
    Rule {
        resize: match rule.resize {
            preprocess::Resize::CentralCrop { fraction } => Resize::CentralCrop(fraction),
            preprocess::Resize::Squeeze { filter: used } => Resize::Squeeze(filter(used)),
            preprocess::Resize::ShortestEdge {
                edge,
                filter: used,
                rounding,
            } => Resize::ShortestEdge {
                edge,
                filter: filter(used),
                to_even: rounding == CropRounding::HalfToEven,
            },
            preprocess::Resize::LongestEdge { filter: used } => Resize::LongestEdge(filter(used)),
        },
        mean: rule.mean.clone(),
        std: rule.std.clone(),
    }
}

fn put(module: &mut Module, bytes: &[u8]) {
    module.scratch(bytes.len()).unwrap().copy_from_slice(bytes);
}

fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A module with the smallest network for inputs of this shape, and a rule.
fn module(shape: [usize; 3], rule: &Rule) -> Module {
    let layer = LayerShape {
        kind: ConvKind::Conv,
        geometry: ConvGeometry::POINTWISE,
        in_channels: shape[2],
        out_channels: 1,
        activation: Activation::Identity,
    };
    let mut module = Module::new();
    put(
        &mut module,
        &bytes_of(&write::float_network(shape, None, None, &[layer])),
    );
    module.open(4 + 4 * shape[2]).unwrap();
    put(&mut module, &vec![0; 4 + 4 * shape[2]]);
    module.layer(0).unwrap();
    module.plan(1).unwrap();
    put(&mut module, &bytes_of(&write::rule(rule)));
    module.rule().unwrap();
    module
}

fn input(module: &mut Module, rgba: &[u8], [height, width]: [usize; 2], strip: usize) -> Vec<f32> {
    module.photo(height, width).unwrap();
    for rows in rgba.chunks(strip * width * 4) {
        put(module, rows);
        module.rows().unwrap();
    }
    module.finish_photo().unwrap();
    module.input().to_vec()
}

#[test]
fn every_rule_gives_the_input_of_the_library() {
    let rules = [
        Preprocessing::slim(32),
        Preprocessing::plain(24),
        Preprocessing::unit(17),
        Preprocessing::hugging_face(33),
        Preprocessing::timm(40, 0.875),
        Preprocessing {
            mean: vec![0.4],
            std: vec![0.3],
            ..Preprocessing::timm(21, 0.9)
        },
        Preprocessing::timm(28, 0.875).at_size([28, 41]),
        Preprocessing {
            resize: preprocess::Resize::LongestEdge {
                filter: preprocess::Filter::Bilinear,
            },
            ..Preprocessing::plain(32).at_size([32, 27])
        },
    ];
    for rule in rules {
        let shape = [rule.size[0], rule.size[1], rule.channels()];
        let mut module = module(shape, &rule_of(&rule));
        for [height, width] in [[1, 1], [20, 31], [97, 64], [50, 211], [300, 200]] {
            let rgb = noise(height * width * 3);
            let photo = Photo::from_raw(width as u32, height as u32, rgb.clone()).unwrap();
            let expected = rule.pixels(&photo).unwrap();
            let pixels = rgb.chunks(3).flat_map(|p| [p[0], p[1], p[2], 255]);
            let rgba: Vec<u8> = pixels.collect();
            let found = input(&mut module, &rgba, [height, width], 7);
            let step = match rule.resize {
                preprocess::Resize::CentralCrop { .. } => 0.0,
                _ => 1.0 / 255.0,
            };
            let limit = step / rule.std[0] + 1e-5;
            for (found, expected) in found.iter().zip(&expected) {
                let off = (found - expected).abs();
                assert!(
                    off <= limit,
                    "{rule:?}, {height}x{width}: {found}, expected {expected}"
                );
            }
            assert_eq!(found.len(), expected.len());
            let whole = input(&mut module, &rgba, [height, width], height);
            assert_eq!(found, whole, "strips change nothing");
        }
    }
}

#[test]
fn photos_out_of_order_are_errors() {
    let rule = rule_of(&Preprocessing::plain(8));
    let mut module = module([8, 8, 3], &rule);
    assert!(module.rows().is_err());
    assert!(module.finish_photo().is_err());
    for size in [[0, 5], [5, 0], [1 << 20, 5]] {
        assert!(module.photo(size[0], size[1]).is_err());
    }
    module.photo(4, 4).unwrap();
    put(&mut module, &[0; 3 * 16]);
    module.rows().unwrap();
    let early = module.finish_photo().unwrap_err();
    assert_eq!(early.to_string(), "rows of the photo are missing");
    module.photo(4, 4).unwrap();
    put(&mut module, &[0; 5 * 16]);
    assert!(module.rows().is_err());
    assert!(Module::new().photo(4, 4).is_err());
}
