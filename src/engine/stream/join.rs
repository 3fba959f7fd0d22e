//! Pairs the equal paths of two streams.

use super::{Keyed, out_of_order};
use crate::engine::error::Result;
use crate::engine::path::PathIndex;
use std::cmp::Ordering;

/// What two streams hold at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined<A, B> {
    /// Only the first has it.
    Left(A),
    /// Only the second has it.
    Right(B),
    /// Both have it.
    Both(A, B),
}

impl<A: Keyed, B: Keyed> Keyed for Joined<A, B> {
    fn path(&self) -> &PathIndex {
        match self {
            Joined::Left(a) | Joined::Both(a, _) => a.path(),
            Joined::Right(b) => b.path(),
        }
    }
}

/// Pairs two sorted streams by path, in order.
///
/// An error of either stream, or a stream out of order (kind
/// [`Corrupt`](crate::engine::error::ErrorKind::Corrupt)), is handed on once and ends the join.
pub fn merge_join<T, U, A, B>(left: A, right: B) -> MergeJoin<A::IntoIter, B::IntoIter, T, U>
where
    T: Keyed,
    U: Keyed,
    A: IntoIterator<Item = Result<T>>,
    B: IntoIterator<Item = Result<U>>,
{
    MergeJoin {
        left: Side::new(left.into_iter()),
        right: Side::new(right.into_iter()),
    }
}

/// See [`merge_join`].
pub struct MergeJoin<A, B, T, U> {
    left: Side<A, T>,
    right: Side<B, U>,
}

impl<A, B, T, U> MergeJoin<A, B, T, U> {
    /// The first stream, for what it has to tell besides its items. What was read ahead is not in it any more.
    pub fn left(&self) -> &A {
        &self.left.stream
    }

    /// The second stream.
    pub fn right(&self) -> &B {
        &self.right.stream
    }
}

/// A stream with its next item at hand.
pub(super) struct Side<I, T> {
    stream: I,
    head: Option<T>,
    last: Option<PathIndex>,
    done: bool,
}

impl<T: Keyed, I: Iterator<Item = Result<T>>> Side<I, T> {
    pub(super) fn new(stream: I) -> Self {
        Self {
            stream,
            head: None,
            last: None,
            done: false,
        }
    }

    /// The next item, read if there is none at hand; it must come after the last one taken.
    pub(super) fn head(&mut self) -> Result<Option<&T>> {
        if self.head.is_none() && !self.done {
            let Some(item) = self.stream.next() else {
                self.done = true;
                return Ok(None);
            };
            let item = item?;
            if let Some(last) = &self.last
                && last >= item.path()
            {
                return Err(out_of_order(last, item.path()));
            }
            self.head = Some(item);
        }
        Ok(self.head.as_ref())
    }

    /// Takes the item at hand.
    pub(super) fn take(&mut self) -> Option<T> {
        let taken = self.head.take()?;
        self.last = Some(taken.path().clone());
        Some(taken)
    }

    fn end(&mut self) {
        self.head = None;
        self.done = true;
    }
}

impl<T, U, A, B> MergeJoin<A, B, T, U>
where
    T: Keyed,
    U: Keyed,
    A: Iterator<Item = Result<T>>,
    B: Iterator<Item = Result<U>>,
{
    fn step(&mut self) -> Result<Option<Joined<T, U>>> {
        let order = match (self.left.head()?, self.right.head()?) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.path().cmp(b.path()),
        };
        let left = if order == Ordering::Greater {
            None
        } else {
            self.left.take()
        };
        let right = if order == Ordering::Less {
            None
        } else {
            self.right.take()
        };
        Ok(match (left, right) {
            (Some(a), Some(b)) => Some(Joined::Both(a, b)),
            (Some(a), None) => Some(Joined::Left(a)),
            (None, Some(b)) => Some(Joined::Right(b)),
            (None, None) => None,
        })
    }
}

impl<T, U, A, B> Iterator for MergeJoin<A, B, T, U>
where
    T: Keyed,
    U: Keyed,
    A: Iterator<Item = Result<T>>,
    B: Iterator<Item = Result<U>>,
{
    type Item = Result<Joined<T, U>>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.left.end();
            self.right.end();
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::{Error, ErrorKind};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Debug, Clone, PartialEq)]
    struct At(PathIndex, u8);

    impl Keyed for At {
        fn path(&self) -> &PathIndex {
            &self.0
        }
    }

    fn stream(paths: &[&str], side: u8) -> Vec<Result<At>> {
        paths
            .iter()
            .map(|p| Ok(At(PathIndex::new(p.as_bytes()).unwrap(), side)))
            .collect()
    }

    #[test]
    fn equal_paths_meet() {
        let joined: Vec<_> = merge_join(
            stream(&["", "a", "a/x", "a.b"], 1),
            stream(&["a", "a.b", "b"], 2),
        )
        .map(Result::unwrap)
        .collect();
        let shapes: Vec<_> = joined
            .iter()
            .map(|j| match j {
                Joined::Left(a) => format!("<{}", a.0),
                Joined::Right(b) => format!(">{}", b.0),
                Joined::Both(a, b) => {
                    assert_eq!((a.1, b.1), (1, 2));
                    format!("={}", a.0)
                }
            })
            .collect();
        assert_eq!(shapes, ["<.", "=a", "<a/x", "=a.b", ">b"]);
    }

    #[test]
    fn disorder_is_an_error_and_the_end() {
        for paths in [&["b", "a"][..], &["a", "a"], &["a.b", "a/x"]] {
            let mut join = merge_join(stream(&[], 1), stream(paths, 2));
            assert!(join.next().unwrap().is_ok());
            assert_eq!(join.next().unwrap().unwrap_err().kind(), ErrorKind::Corrupt);
            assert!(join.next().is_none());
        }
    }

    #[test]
    fn what_came_before_an_error_is_not_lost() {
        let mut broken = stream(&["a"], 1);
        broken.push(Err(Error::new(ErrorKind::Io, "gone")));
        let mut join = merge_join(broken, stream(&["a", "b"], 2));
        assert!(matches!(join.next(), Some(Ok(Joined::Both(..)))));
        assert_eq!(join.next().unwrap().unwrap_err().kind(), ErrorKind::Io);
        assert!(join.next().is_none());
    }

    proptest! {
        #[test]
        fn nothing_is_lost(left in proptest::collection::btree_set("[ab./]{1,4}", 0..12),
                           right in proptest::collection::btree_set("[ab./]{1,4}", 0..12)) {
            let sorted = |set: &BTreeSet<String>| -> BTreeSet<PathIndex> {
                set.iter().filter_map(|p| PathIndex::new(p.as_bytes()).ok()).collect()
            };
            let (left, right) = (sorted(&left), sorted(&right));
            let items = |set: &BTreeSet<PathIndex>| set.iter().cloned().map(|p| Ok(At(p, 0))).collect::<Vec<_>>();
            let joined: Vec<_> = merge_join(items(&left), items(&right)).map(Result::unwrap).collect();
            prop_assert!(joined.windows(2).all(|pair| pair[0].path() < pair[1].path()));
            prop_assert_eq!(joined.len(), left.union(&right).count());
            let both = joined.iter().filter(|j| matches!(j, Joined::Both(..))).count();
            prop_assert_eq!(both, left.intersection(&right).count());
        }
    }
}
