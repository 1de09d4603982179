//! Walks through a network with the shape of the map that each layer reads and writes.

use mobilenet_kernels::{ConvGeometry, ConvSize, KernelError, Padding};

use super::network::{Layer, Node, Pool, PoolPadding};
use crate::error::ModelError;

/// Rows, columns and channels of a map.
pub type MapShape = [usize; 3];

impl Layer {
    /// The window.
    pub fn geometry(&self) -> ConvGeometry {
        ConvGeometry {
            kernel: self.kernel,
            stride: self.stride,
            dilation: 1,
            padding: self.padding,
        }
    }

    /// Shape of the output for an input of this shape.
    ///
    /// # Errors
    /// If the kernel does not fit the input.
    pub fn output(&self, input: MapShape) -> Result<MapShape, ModelError> {
        let size = resolve(&self.name, self.geometry(), input)?;
        Ok([size.rows.output, size.columns.output, self.out_channels])
    }
}

impl Pool {
    /// The window for an input of `height` x `width`.
    ///
    /// # Errors
    /// If the window does not fit the input.
    pub fn geometry(&self, height: usize, width: usize) -> Result<ConvGeometry, ModelError> {
        let [bottom, right] = [height, width].map(|side| self.beyond(side));
        let padding = match self.padding {
            PoolPadding::Same => Padding::Same,
            PoolPadding::Symmetric(sides) => Padding::symmetric(sides),
            PoolPadding::Ceil => Padding::Explicit {
                top: 0,
                bottom,
                left: 0,
                right,
            },
        };
        let geometry = ConvGeometry {
            kernel: [self.window; 2],
            stride: self.stride,
            dilation: 1,
            padding,
        };
        resolve("pool", geometry, [height, width, 0])?;
        Ok(geometry)
    }

    /// How far the last window reaches beyond a side if windows are counted up.
    fn beyond(&self, side: usize) -> usize {
        let steps = side.saturating_sub(self.window).div_ceil(self.stride);
        (steps * self.stride + self.window).saturating_sub(side.max(self.window))
    }
}

fn resolve(name: &str, geometry: ConvGeometry, input: MapShape) -> Result<ConvSize, ModelError> {
    let [height, width, _] = input;
    let located = |source: KernelError| ModelError::Geometry {
        layer: name.to_string(),
        source,
    };
    geometry.resolve(1, height, width).map_err(located)
}

/// Visits every layer in order of computation, with the shapes of its input and output. Returns the
/// shape of the last map.
///
/// # Errors
/// If a window does not fit its input, or branches that meet have different shapes.
pub fn walk(
    nodes: &[Node],
    input: MapShape,
    visit: &mut dyn FnMut(&Layer, MapShape, MapShape),
) -> Result<MapShape, ModelError> {
    let mut shape = input;
    for node in nodes {
        let [height, width, channels] = shape;
        shape = match node {
            Node::Layer(layer) => {
                let output = layer.output(shape)?;
                visit(layer, shape, output);
                output
            }
            Node::Pool(pool) => {
                let size = resolve("pool", pool.geometry(height, width)?, shape)?;
                [size.rows.output, size.columns.output, channels]
            }
            Node::Activation(_) | Node::LocalResponse => shape,
            Node::GlobalMean => [1, 1, channels],
            Node::Concat(branches) => {
                let ends = ends(branches, shape, visit)?;
                let [height, width, _] = same(&ends, |[height, width, _]| [height, width, 0])?;
                [height, width, ends.iter().map(|end| end[2]).sum()]
            }
            Node::Sum(branches) => same(&ends(branches, shape, visit)?, |shape| shape)?,
        };
    }
    Ok(shape)
}

fn ends(
    branches: &[Vec<Node>],
    input: MapShape,
    visit: &mut dyn FnMut(&Layer, MapShape, MapShape),
) -> Result<Vec<MapShape>, ModelError> {
    (branches.iter())
        .map(|branch| walk(branch, input, visit))
        .collect()
}

/// What is the same in all shapes.
fn same(shapes: &[MapShape], of: impl Fn(MapShape) -> MapShape) -> Result<MapShape, ModelError> {
    let differ = || ModelError::Branches {
        found: shapes.to_vec(),
    };
    let first = of(*shapes.first().ok_or_else(differ)?);
    match shapes.iter().all(|&shape| of(shape) == first) {
        true => Ok(first),
        false => Err(differ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceil_mode_counts_a_window_that_reaches_beyond_the_input() {
        let pool = Pool::max_3x3_stride_2(PoolPadding::Ceil);
        for (side, output) in [(112, 56), (109, 54), (110, 55), (111, 55), (3, 1), (4, 2)] {
            let nodes = [Node::from(pool)];
            let found = walk(&nodes, [side, side, 5], &mut |_, _, _| {}).unwrap();
            assert_eq!(found, [output, output, 5], "{side}");
        }
        assert!(pool.geometry(2, 9).is_err());
    }

    #[test]
    fn branches_must_meet_in_one_shape() {
        let layer = |out_channels| vec![Layer::new("a", out_channels, [1, 1]).into()];
        let strided = vec![Layer::new("b", 4, [1, 1]).stride(2).into()];
        let found = |node| walk(&[node], [8, 8, 4], &mut |_, _, _| {});
        let concat = Node::Concat(vec![layer(4), layer(3)]);
        assert_eq!(found(concat).unwrap(), [8, 8, 7]);
        assert_eq!(found(Node::Sum(vec![layer(4), vec![]])).unwrap(), [8, 8, 4]);
        for wrong in [
            Node::Sum(vec![layer(3), vec![]]),
            Node::Concat(vec![strided, layer(4)]),
            Node::Sum(vec![]),
        ] {
            assert!(matches!(found(wrong), Err(ModelError::Branches { .. })));
        }
    }
}
