//! L-BFGS: minimises a smooth function of many variables from its values and gradients (Nocedal and
//! Wright, Numerical Optimization, algorithm 7.5), with a line search that ends in the weak Wolfe
//! conditions by halving and doubling.

use std::collections::VecDeque;

/// Pairs of steps and gradient changes that stand for the Hessian.
const HISTORY: usize = 10;

/// Evaluations of one line search.
const MOST_TRIALS: usize = 40;

/// Share of the promised decrease that is enough: Wolfe's first condition.
const DECREASE: f64 = 1e-4;

/// Share of the slope that may be left: the second.
const SLOPE: f64 = 0.9;

/// A point that was found.
#[derive(Debug, Clone)]
pub(super) struct Minimum {
    pub(super) point: Vec<f64>,
    pub(super) value: f64,
    pub(super) iterations: usize,
    /// Whether the gradient fell below the tolerance.
    pub(super) converged: bool,
}

/// Minimises `function`, which writes its gradient and returns its value, from a starting point,
/// until no part of the gradient is larger than `tolerance` or no step leads lower.
///
/// # Errors
/// Those of the function.
pub(super) fn minimize<E>(
    start: Vec<f64>,
    tolerance: f64,
    most_iterations: usize,
    mut function: impl FnMut(&[f64], &mut [f64]) -> Result<f64, E>,
) -> Result<Minimum, E> {
    let mut point = start;
    let mut gradient = vec![0.0; point.len()];
    let mut value = function(&point, &mut gradient)?;
    let mut history = History::default();
    for iterations in 0..most_iterations {
        if largest(&gradient) <= tolerance {
            return Ok(Minimum {
                point,
                value,
                iterations,
                converged: true,
            });
        }
        let mut direction = history.direction(&gradient);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            history = History::default();
            direction = gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &gradient);
        }
        // Without a history the gradient's length says nothing of the distance.
        let first = if history.pairs.is_empty() {
            1.0 / dot(&gradient, &gradient).sqrt().max(1.0)
        } else {
            1.0
        };
        let found = search(&point, value, &direction, slope, first, &mut function)?;
        let Some((next, next_value, next_gradient)) = found else {
            return Ok(Minimum {
                point,
                value,
                iterations,
                converged: false,
            });
        };
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        history.add(
            difference(&next, &point),
            difference(&next_gradient, &gradient),
        );
        (point, value, gradient) = (next, next_value, next_gradient);
    }
    Ok(Minimum {
        converged: largest(&gradient) <= tolerance,
        point,
        value,
        iterations: most_iterations,
    })
}

type Found = Option<(Vec<f64>, f64, Vec<f64>)>;

/// A lower point on a line, with its value and gradient; `None` if there seems to be none.
fn search<E>(
    point: &[f64],
    value: f64,
    direction: &[f64],
    slope: f64,
    first: f64,
    function: &mut impl FnMut(&[f64], &mut [f64]) -> Result<f64, E>,
) -> Result<Found, E> {
    let (mut low, mut high, mut step) = (0.0, f64::INFINITY, first);
    let mut best: Found = None;
    for _ in 0..MOST_TRIALS {
        let next: Vec<f64> = point
            .iter()
            .zip(direction)
            .map(|(x, d)| x + step * d)
            .collect();
        let mut gradient = vec![0.0; next.len()];
        let next_value = function(&next, &mut gradient)?;
        // Not a number is no decrease.
        if next_value <= value + DECREASE * step * slope {
            let enough = dot(direction, &gradient) >= SLOPE * slope;
            best = Some((next, next_value, gradient));
            if enough {
                return Ok(best);
            }
            low = step;
        } else {
            high = step;
        }
        step = if high.is_finite() {
            0.5 * (low + high)
        } else {
            2.0 * step
        };
    }
    Ok(best)
}

/// The last steps with their changes of the gradient, oldest first.
#[derive(Default)]
struct History {
    pairs: VecDeque<Pair>,
}

struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// Their product.
    curvature: f64,
}

impl History {
    fn add(&mut self, step: Vec<f64>, change: Vec<f64>) {
        let curvature = dot(&step, &change);
        // Rounding may leave a pair without curvature.
        if curvature <= f64::EPSILON * dot(&change, &change) {
            return;
        }
        if self.pairs.len() == HISTORY {
            self.pairs.pop_front();
        }
        self.pairs.push_back(Pair {
            step,
            change,
            curvature,
        });
    }

    /// Minus the approximate inverse Hessian times the gradient.
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut factors = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let factor = dot(&pair.step, &direction) / pair.curvature;
            add(&mut direction, -factor, &pair.change);
            factors.push(factor);
        }
        if let Some(last) = self.pairs.back() {
            let scale = last.curvature / dot(&last.change, &last.change);
            direction.iter_mut().for_each(|d| *d *= scale);
        }
        for (pair, factor) in self.pairs.iter().zip(factors.into_iter().rev()) {
            let correction = dot(&pair.change, &direction) / pair.curvature;
            add(&mut direction, factor - correction, &pair.step);
        }
        direction
    }
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    for (to, what) in to.iter_mut().zip(what) {
        *to += factor * what;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The largest part; not a number if one is not.
fn largest(gradient: &[f64]) -> f64 {
    let largest = |a: f64, b: &f64| if b.abs() <= a { a } else { b.abs() };
    gradient.iter().fold(0.0, largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: &[f64], most: usize, function: impl Fn(&[f64], &mut [f64]) -> f64) -> Minimum {
        let function = |x: &[f64], g: &mut [f64]| Ok::<_, ()>(function(x, g));
        minimize(start.to_vec(), 1e-8, most, function).unwrap()
    }

    #[test]
    fn a_bent_valley() {
        // Rosenbrock's function, whose minimum is at (1, 1).
        let found = run(&[-1.2, 1.0], 100, |x, g| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            g[0] = -2.0 * a - 400.0 * x[0] * b;
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        });
        assert!(found.converged && found.iterations < 60, "{found:?}");
        assert!(found.point.iter().all(|x| (x - 1.0).abs() < 1e-6));
        assert!(found.value < 1e-12);
    }

    #[test]
    fn a_long_ellipse_of_many_variables() {
        let found = run(&[1.0; 60], 1000, |x, g| {
            let terms = x.iter().zip(g).enumerate().map(|(i, (x, g))| {
                let weight = 1.0 + (i * i) as f64;
                *g = weight * (x - i as f64);
                0.5 * weight * (x - i as f64).powi(2)
            });
            terms.sum()
        });
        assert!(found.converged, "{}", found.iterations);
        assert!(
            found
                .point
                .iter()
                .enumerate()
                .all(|(i, x)| (x - i as f64).abs() < 1e-6)
        );
    }

    #[test]
    fn it_ends_where_there_is_no_way_down() {
        // No lower bound: it stops after the allowed iterations.
        let falling = run(&[0.0], 5, |x, g| {
            g[0] = -1.0;
            -x[0]
        });
        assert!(!falling.converged && falling.value.is_finite());
        // A gradient that lies.
        let lying = run(&[1.0], 50, |x, g| {
            g[0] = -1.0;
            x[0]
        });
        assert!(!lying.converged && lying.point == [1.0]);
        let nan = run(&[1.0], 50, |_, g| {
            g[0] = f64::NAN;
            f64::NAN
        });
        assert!(!nan.converged);
    }
}
