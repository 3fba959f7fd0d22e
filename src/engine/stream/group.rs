//! Groups the equal paths of many streams, oldest stream first.
//!
//! The streams hand out data as well as paths (members of a tar), so they are not iterators: a group only says which
//! streams stand at its path, and the caller pulls from them what it needs and moves them on.

use super::out_of_order;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::path::PathIndex;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A sorted stream that can be asked where it stands.
pub trait Peek {
    /// The path the stream stands at; `None` at its end. Asking again gives the same answer.
    ///
    /// # Errors
    /// Those of reading the stream.
    fn peek_path(&mut self) -> Result<Option<&PathIndex>>;
}

/// Finds the groups of a fixed list of streams.
///
/// Costs the logarithm of the number of streams for each member, so long chains are no trouble.
#[derive(Debug, Default)]
pub struct Groups {
    /// Where each stream stands, but for those of the last group.
    heads: BinaryHeap<Reverse<(PathIndex, usize)>>,
    /// Streams of the last group and its path; they have been moved on since.
    last: Option<(PathIndex, Vec<usize>)>,
    started: bool,
}

impl Groups {
    /// Nothing found yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The smallest path any stream stands at, and the streams that stand there, by ascending index.
    ///
    /// Always give the same streams in the same order, and before each call move every stream of the last group past
    /// its path.
    ///
    /// # Errors
    /// Those of the streams; [`ErrorKind::Corrupt`] if one is out of order; [`ErrorKind::Internal`] if a stream of
    /// the last group was not moved on.
    pub fn next_group<S: Peek>(
        &mut self,
        streams: &mut [S],
    ) -> Result<Option<(PathIndex, Vec<usize>)>> {
        if !self.started {
            self.started = true;
            for (index, stream) in streams.iter_mut().enumerate() {
                if let Some(path) = stream.peek_path()? {
                    self.heads.push(Reverse((path.clone(), index)));
                }
            }
        }
        if let Some((last, members)) = self.last.take() {
            for index in members {
                let Some(stream) = streams.get_mut(index) else {
                    continue;
                };
                let Some(path) = stream.peek_path()? else {
                    continue;
                };
                if *path == last {
                    return Err(Error::new(
                        ErrorKind::Internal,
                        format!("a stream was left standing at {last}"),
                    ));
                }
                if *path < last {
                    return Err(out_of_order(&last, path));
                }
                self.heads.push(Reverse((path.clone(), index)));
            }
        }
        let Some(Reverse((path, index))) = self.heads.pop() else {
            return Ok(None);
        };
        let mut members = vec![index];
        while let Some(Reverse((_, index))) =
            self.heads.peek().filter(|Reverse((next, _))| *next == path)
        {
            members.push(*index);
            self.heads.pop();
        }
        self.last = Some((path.clone(), members.clone()));
        Ok(Some((path, members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lines(Vec<PathIndex>);

    impl Lines {
        fn new(paths: &[&str]) -> Self {
            Self(
                paths
                    .iter()
                    .rev()
                    .map(|p| PathIndex::new(p.as_bytes()).unwrap())
                    .collect(),
            )
        }
    }

    impl Peek for Lines {
        fn peek_path(&mut self) -> Result<Option<&PathIndex>> {
            Ok(self.0.last())
        }
    }

    fn groups(streams: &mut [Lines]) -> Result<Vec<(String, Vec<usize>)>> {
        let mut groups = Groups::new();
        let mut found = Vec::new();
        while let Some((path, members)) = groups.next_group(streams)? {
            for index in &members {
                streams[*index].0.pop();
            }
            found.push((path.to_string(), members));
        }
        Ok(found)
    }

    #[test]
    fn members_come_oldest_first() {
        let mut streams = [
            Lines::new(&["", "a", "b"]),
            Lines::new(&["a", "a/x"]),
            Lines::new(&[]),
            Lines::new(&["a"]),
        ];
        let expected = [
            (".", vec![0]),
            ("a", vec![0, 1, 3]),
            ("a/x", vec![1]),
            ("b", vec![0]),
        ];
        assert_eq!(
            groups(&mut streams).unwrap(),
            expected.map(|(path, members)| (path.to_owned(), members))
        );
    }

    #[test]
    fn disorder_is_found() {
        let mut streams = [Lines::new(&["b", "a"]), Lines::new(&["a"])];
        assert_eq!(groups(&mut streams).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_stream_left_behind_is_found() {
        let mut streams = [Lines::new(&["a"])];
        let mut groups = Groups::new();
        assert!(groups.next_group(&mut streams).unwrap().is_some());
        assert_eq!(
            groups.next_group(&mut streams).unwrap_err().kind(),
            ErrorKind::Internal
        );
    }
}
