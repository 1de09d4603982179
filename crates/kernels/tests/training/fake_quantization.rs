//! Compares fake quantisation with golden values, on every instruction set. The script is beside
//! the golden file.

use std::path::Path;

use mobilenet_kernels::fake_quantization::{
    Grid, Levels, fake_quantize_gradient, fake_quantize_on,
};
use mobilenet_kernels::simd::Isa;
use safetensors::SafeTensors;

use crate::instruction_sets::on_each_instruction_set;

struct Golden(Vec<u8>);

impl Golden {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        Self(std::fs::read(folder.join("fake_quantization.safetensors")).unwrap())
    }

    fn tensor(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap();
        let chunks = view.data().chunks_exact(4);
        chunks
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect()
    }

    /// The grid of each range.
    fn grids(&self) -> Vec<Grid> {
        let (_, header) = SafeTensors::read_metadata(&self.0).unwrap();
        let ranges = &header.metadata().as_ref().unwrap()["ranges"];
        let grid = |range: &str| {
            let numbers: Vec<f32> = range.split(' ').map(|n| n.parse().unwrap()).collect();
            let levels = match numbers[2] {
                0.0 => Levels::Wide,
                _ => Levels::Narrow,
            };
            Grid::new(numbers[0], numbers[1], levels)
        };
        ranges.split(',').map(grid).collect()
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn equals_golden_bits(isa: Isa) {
    let golden = Golden::open();
    let input = golden.tensor("input");
    for (number, grid) in golden.grids().iter().enumerate() {
        let mut found = input.clone();
        fake_quantize_on(isa, &mut found, grid);
        let expected = golden.tensor(&format!("{number}.output"));
        assert_eq!(bits(&found), bits(&expected), "range {number}");
        let specified: Vec<f32> = input.iter().map(|&x| grid.round(x)).collect();
        assert_eq!(bits(&specified), bits(&expected), "range {number}");
        for (&x, &expected) in input.iter().zip(&expected) {
            let level = f32::from(grid.level(x)) - f32::from(grid.zero_point());
            assert_eq!(level * grid.scale(), expected, "range {number}, {x}");
        }
    }
}

on_each_instruction_set! { equals_golden_bits }

#[test]
fn ranges_are_nudged_and_gradients_pass_inside() {
    let golden = Golden::open();
    let input = golden.tensor("input");
    for (number, grid) in golden.grids().iter().enumerate() {
        let (low, high) = grid.range();
        let found = [grid.scale(), f32::from(grid.zero_point()), low, high];
        let expected = golden.tensor(&format!("{number}.grid"));
        assert_eq!(bits(&found), bits(&expected), "range {number}");
        let mut gradient = vec![1.0; input.len()];
        fake_quantize_gradient(&input, &mut gradient, grid).unwrap();
        let expected = golden.tensor(&format!("{number}.passes"));
        assert_eq!(gradient, expected, "range {number}");
    }
}
