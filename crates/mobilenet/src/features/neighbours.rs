//! The nearest rows of a table by cosine: exact, by comparing with every row.

use std::collections::BTreeMap;
use std::ops::Range;

/// Rows that are compared with all queries before the next ones: 256 KiB at 1,024 features, which
/// stay in the L2 cache.
const BLOCK: usize = 64;

/// Sums that a product keeps: enough to fill vector registers.
const LANES: usize = 16;

/// Rows of length 1.
#[derive(Debug, Clone)]
pub struct Neighbours {
    width: usize,
    rows: Vec<f32>,
}

/// A row, and how near it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its number.
    pub row: usize,
    /// Cosine of the angle between it and the query, 1 for the same direction.
    pub cosine: f32,
}

impl Neighbours {
    /// Rows `[n, width]`. A row of zeros is near to nothing: its cosines are 0.
    ///
    /// # Panics
    /// If `width` is 0.
    pub fn new(width: usize, mut rows: Vec<f32>, threads: usize) -> Self {
        rows.truncate(rows.len() / width * width);
        let each = (rows.len() / width).div_ceil(threads.max(1)).max(1);
        std::thread::scope(|scope| {
            for part in rows.chunks_mut(each * width) {
                scope.spawn(move || part.chunks_exact_mut(width).for_each(normalize));
            }
        });
        Self { width, rows }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len() / self.width
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The `top` nearest rows of each query `[m, width]`, nearest first; of equals the lower number.
    ///
    /// One query takes as long as reading all rows from memory: 0.2 s for 250,000 rows of 1,024
    /// features (5 GB/s, while other programs ran), so about 0.8 s for a million.
    ///
    /// ```
    /// use mobilenet::features::Neighbours;
    ///
    /// let table = Neighbours::new(2, vec![1.0, 0.0, 3.0, 4.0, 0.0, 2.0], 1);
    /// let nearest = &table.nearest(&[0.0, 1.0], 2, 1)[0];
    /// assert_eq!((nearest[0].row, nearest[0].cosine), (2, 1.0));
    /// assert_eq!((nearest[1].row, nearest[1].cosine), (1, 0.8));
    /// ```
    pub fn nearest(&self, queries: &[f32], top: usize, threads: usize) -> Vec<Vec<Neighbour>> {
        let mut queries = queries.to_vec();
        queries.chunks_exact_mut(self.width).for_each(normalize);
        let search = |rows: Range<usize>| {
            let mut best = vec![Best::new(top); queries.len() / self.width];
            for first in rows.clone().step_by(BLOCK) {
                let block = first..(first + BLOCK).min(rows.end);
                for (query, best) in queries.chunks_exact(self.width).zip(&mut best) {
                    for row in block.clone() {
                        let cosine = product(self.row(row), query);
                        best.add(Neighbour { row, cosine });
                    }
                }
            }
            best
        };
        let parts = self.in_parts(threads, search);
        let mut parts = parts.into_iter();
        let mut best = parts.next().unwrap_or_default();
        // Later parts have higher numbers, so equals stay in order.
        for part in parts {
            for (best, more) in best.iter_mut().zip(part) {
                more.found.into_iter().for_each(|one| best.add(one));
            }
        }
        best.into_iter().map(|best| best.found).collect()
    }

    /// All pairs of rows whose cosine is at least `threshold`, in order.
    pub fn pairs(&self, threshold: f32, threads: usize) -> Vec<(usize, usize)> {
        let blocks = self.len().div_ceil(BLOCK);
        let threads = threads.max(1);
        // Blocks in turns: the first are compared with the most rows.
        let search = |part: usize| {
            let mut pairs = Vec::new();
            for block in (part..blocks).step_by(threads) {
                let block = block * BLOCK..((block + 1) * BLOCK).min(self.len());
                for other in block.start + 1..self.len() {
                    for row in block.start..block.end.min(other) {
                        if product(self.row(row), self.row(other)) >= threshold {
                            pairs.push((row, other));
                        }
                    }
                }
            }
            pairs
        };
        let parts = on_threads(threads, search);
        let mut pairs: Vec<(usize, usize)> = parts.into_iter().flatten().collect();
        pairs.sort_unstable();
        pairs
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.rows[row * self.width..][..self.width]
    }

    fn in_parts<T: Send>(&self, threads: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
        let parts = threads.clamp(1, self.len().div_ceil(BLOCK).max(1));
        let bound = |part: usize| self.len() * part / parts;
        on_threads(parts, |part| work(bound(part)..bound(part + 1)))
    }
}

/// The class that most neighbours have; of equals the one with the larger sum of cosines, and then
/// the lower. `None` of no neighbours.
///
/// # Panics
/// If a neighbour has no label.
pub fn vote(neighbours: &[Neighbour], labels: &[u32]) -> Option<u32> {
    let mut votes: BTreeMap<u32, (u32, f32)> = BTreeMap::new();
    for neighbour in neighbours {
        let (count, sum) = votes.entry(labels[neighbour.row]).or_default();
        *count += 1;
        *sum += neighbour.cosine;
    }
    let best = votes.into_iter().rev().max_by(|(_, a), (_, b)| {
        let by_count = a.0.cmp(&b.0);
        by_count.then(a.1.total_cmp(&b.1))
    });
    best.map(|(class, _)| class)
}

/// The best so far.
#[derive(Clone)]
struct Best {
    top: usize,
    found: Vec<Neighbour>,
}

impl Best {
    fn new(top: usize) -> Self {
        let found = Vec::new();
        Self { top, found }
    }

    fn add(&mut self, one: Neighbour) {
        let full = self.found.len() >= self.top;
        if full
            && self
                .found
                .last()
                .is_none_or(|last| one.cosine <= last.cosine)
        {
            return;
        }
        let at = self
            .found
            .partition_point(|other| other.cosine >= one.cosine);
        self.found.truncate(self.top - usize::from(full));
        self.found.insert(at, one);
    }
}

fn on_threads<T: Send>(parts: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..parts)
            .map(|part| scope.spawn(move || work(part)))
            .collect();
        let mut results = vec![work(0)];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}

fn normalize(row: &mut [f32]) {
    let norm = product(row, row).sqrt();
    if norm > 0.0 {
        row.iter_mut().for_each(|value| *value /= norm);
    }
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize) -> Vec<f32> {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    }

    /// By the definition, in f64.
    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let product = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum()
        };
        product(a, b) / (product(a, a) * product(b, b)).sqrt()
    }

    #[test]
    fn nearest_is_what_sorting_gives_for_any_threads() {
        let (width, count) = (37, 301);
        let (rows, queries) = (noise(width * count), noise(width * 5 + 11)[11..].to_vec());
        let table = Neighbours::new(width, rows.clone(), 2);
        for threads in [1, 2, 3, 8] {
            let found = table.nearest(&queries, 10, threads);
            for (query, found) in queries.chunks(width).zip(found) {
                let all = rows.chunks(width).map(|row| cosine(row, query));
                let mut all: Vec<(usize, f64)> = all.enumerate().collect();
                all.sort_by(|a, b| b.1.total_cmp(&a.1));
                assert_eq!(found.len(), 10);
                for (found, (row, cosine)) in found.iter().zip(all) {
                    assert_eq!(found.row, row);
                    assert!((f64::from(found.cosine) - cosine).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn pairs_are_all_that_are_near() {
        let (width, count) = (5, 200);
        let rows = noise(width * count);
        let expected: Vec<(usize, usize)> = (0..count)
            .flat_map(|a| (a + 1..count).map(move |b| (a, b)))
            .filter(|&(a, b)| {
                cosine(&rows[a * width..][..width], &rows[b * width..][..width]) >= 0.9
            })
            .collect();
        assert!(expected.len() > 10);
        let table = Neighbours::new(width, rows, 3);
        for threads in [1, 3] {
            assert_eq!(table.pairs(0.9, threads), expected);
        }
    }

    #[test]
    fn few_rows_and_rows_of_zeros() {
        let table = Neighbours::new(2, vec![0.0, 0.0, 1.0, 1.0], 9);
        let found = table.nearest(&[2.0, 2.0], 5, 4);
        assert_eq!(
            found[0].iter().map(|one| one.row).collect::<Vec<_>>(),
            [1, 0]
        );
        assert_eq!(found[0][1].cosine, 0.0);
        assert!(table.nearest(&[1.0, 0.0], 0, 1)[0].is_empty());
        assert!(Neighbours::new(2, Vec::new(), 1).nearest(&[1.0, 0.0], 3, 2)[0].is_empty());
    }

    #[test]
    fn votes_are_counted_then_weighed() {
        let near = |row, cosine| Neighbour { row, cosine };
        let labels = [4, 2, 2, 4, 7];
        assert_eq!(
            vote(&[near(4, 0.9), near(1, 0.5), near(2, 0.5)], &labels),
            Some(2)
        );
        assert_eq!(vote(&[near(0, 0.6), near(1, 0.7)], &labels), Some(2));
        assert_eq!(vote(&[near(0, 0.5), near(1, 0.5)], &labels), Some(2));
        assert_eq!(vote(&[], &labels), None);
    }
}
