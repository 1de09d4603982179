//! Division of work into parts of nearly equal size, for threads or as blocks.

use std::ops::Range;

/// Part `index` of `count` items that are divided into `parts` parts. The sizes of the parts differ
/// by 1 at most.
#[inline(always)]
pub(crate) fn part(count: usize, index: usize, parts: usize) -> Range<usize> {
    count * index / parts..count * (index + 1) / parts
}

/// Number of parts of at most `largest` items each. It is at least 1, and a multiple of `multiple`
/// if there are enough items.
pub(crate) fn parts(count: usize, largest: usize, multiple: usize) -> usize {
    let needed = count.div_ceil(largest.max(1)).max(1);
    needed.next_multiple_of(multiple.max(1)).min(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_and_differ_by_one() {
        for count in 1..100 {
            for largest in 1..20 {
                let number = parts(count, largest, 2);
                let sizes: Vec<_> = (0..number).map(|i| part(count, i, number).len()).collect();
                assert_eq!(sizes.iter().sum::<usize>(), count);
                let (least, most) = (sizes.iter().min(), sizes.iter().max());
                assert!(most <= Some(&largest) && most.unwrap() - least.unwrap() <= 1);
            }
        }
    }
}
