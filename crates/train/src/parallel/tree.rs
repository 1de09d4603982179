//! Sums of vectors in the order of a fixed binary tree.

use std::ops::Range;

/// Adds vectors in the order of a binary tree over their positions: `(0 + 1) + (2 + 3)`, and so on.
/// If each of several sums has the same power of two of neighbouring vectors, the tree of these sums
/// gives the bits of the whole tree. So any number of ranks can share out the vectors.
#[derive(Debug, Default)]
pub struct TreeSum {
    /// Sums of complete subtrees with their numbers of vectors, which become smaller.
    stack: Vec<(usize, Vec<f32>)>,
    /// Memory of vectors that were added.
    spare: Vec<Vec<f32>>,
}

impl TreeSum {
    /// A vector to fill, with the memory of an earlier one.
    pub fn take(&mut self) -> Vec<f32> {
        self.spare.pop().unwrap_or_default()
    }

    /// Returns a vector that is no longer needed.
    pub fn give_back(&mut self, vector: Vec<f32>) {
        self.spare.push(vector);
    }

    /// Adds the next vector. All have the same length.
    pub fn push(&mut self, vector: Vec<f32>) {
        let (mut count, mut right) = (1, vector);
        while let Some((_, left)) = self.stack.pop_if(|(of_left, _)| *of_left == count) {
            right = self.added(left, right);
            count *= 2;
        }
        self.stack.push((count, right));
    }

    /// The sum of all vectors. Empty if there were none.
    pub fn finish(&mut self) -> Vec<f32> {
        let Some((_, mut right)) = self.stack.pop() else {
            return Vec::new();
        };
        while let Some((_, left)) = self.stack.pop() {
            right = self.added(left, right);
        }
        right
    }

    /// Adds the sums of all earlier vectors to a range of the last one, which is not pushed.
    pub fn add_to(&self, range: Range<usize>, last: &mut [f32]) {
        for (_, left) in self.stack.iter().rev() {
            let left = left.get(range.clone()).unwrap_or_default();
            let last = last.get_mut(range.clone()).unwrap_or_default();
            for (right, left) in last.iter_mut().zip(left) {
                *right += left;
            }
        }
    }

    /// Forgets all vectors.
    pub fn clear(&mut self) {
        let vectors = self.stack.drain(..).map(|(_, vector)| vector);
        self.spare.extend(vectors);
    }

    fn added(&mut self, mut left: Vec<f32>, right: Vec<f32>) -> Vec<f32> {
        for (left, right) in left.iter_mut().zip(&right) {
            *left += right;
        }
        self.spare.push(right);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(vectors: &[Vec<f32>]) -> Vec<f32> {
        let mut tree = TreeSum::default();
        vectors.iter().for_each(|vector| tree.push(vector.clone()));
        tree.finish()
    }

    #[test]
    fn the_order_is_that_of_a_tree() {
        let [a, b, c, d, e, f] = [1e8f32, 1.0, -1e8, 3.0, 1e-3, 7e7];
        let vectors = [a, b, c, d, e, f].map(|value| vec![value]);
        assert_eq!(sum(&vectors), [((a + b) + (c + d)) + (e + f)]);
        assert_eq!(sum(&vectors[..3]), [(a + b) + c]);
        assert!(sum(&[]).is_empty());
        for count in 1..6 {
            let (last, others) = vectors[..count].split_last().unwrap();
            let mut tree = TreeSum::default();
            others.iter().for_each(|vector| tree.push(vector.clone()));
            let mut last = last.clone();
            tree.add_to(0..1, &mut last);
            assert_eq!(last, sum(&vectors[..count]));
            tree.clear();
            assert!(tree.finish().is_empty());
        }
    }

    proptest! {
        #[test]
        fn sums_of_shares_are_the_whole_sum(
            ranks in 1usize..9,
            power in 0u32..4,
            values in prop::collection::vec(-1e6f32..1e6, 64 * 3),
        ) {
            let of_each = 2usize.pow(power);
            let vectors: Vec<Vec<f32>> =
                (0..ranks * of_each).map(|at| values[at * 3..][..3].to_vec()).collect();
            let shares: Vec<Vec<f32>> = vectors.chunks(of_each).map(sum).collect();
            prop_assert_eq!(sum(&shares), sum(&vectors));
        }
    }
}
