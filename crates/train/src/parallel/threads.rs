//! Ranks as threads of one process. Everything that ranks do can be tried with them, without MPI.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::{Communicator, patience};
use crate::error::TrainError;

/// How long a rank waits for a message, unless [`ThreadRank::with_patience`] says otherwise.
const PATIENCE: Duration = Duration::from_secs(600);

/// A message, or nothing if its sender has ended.
type Letter = (usize, Option<Vec<u8>>);

/// One of several ranks in a process. When it is dropped, the others are told.
#[derive(Debug)]
pub struct ThreadRank {
    rank: usize,
    to: Vec<Sender<Letter>>,
    letters: Receiver<Letter>,
    /// Letters of each rank that were not asked for yet.
    waiting: Vec<VecDeque<Option<Vec<u8>>>>,
    patience: Duration,
}

/// Ranks that can write to each other, one for each thread.
pub fn thread_ranks(ranks: usize) -> Vec<ThreadRank> {
    let (to, letters): (Vec<_>, Vec<_>) = (0..ranks).map(|_| channel()).unzip();
    let rank = |(rank, letters)| ThreadRank {
        rank,
        to: to.clone(),
        letters,
        waiting: vec![VecDeque::new(); ranks],
        patience: PATIENCE,
    };
    letters.into_iter().enumerate().map(rank).collect()
}

impl ThreadRank {
    /// The same rank, which waits at most this long for a message.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Waits for one more letter, at most until `end`. False if there was none.
    fn hear(&mut self, end: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        match self.letters.recv_timeout(left) {
            Ok((from, letter)) => {
                self.waiting[from].push_back(letter);
                true
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }

    fn send(&self, rank: usize, bytes: Vec<u8>) -> Result<(), TrainError> {
        let ranks = self.ranks();
        let to = self.to.get(rank);
        let to = to.ok_or(TrainError::NoRank { rank, ranks })?;
        to.send((self.rank, Some(bytes)))
            .map_err(|_| TrainError::RankEnded { rank })
    }

    /// The next message of a rank that waits here.
    fn next(&mut self, from: usize) -> Result<Option<Vec<u8>>, TrainError> {
        let ranks = self.ranks();
        let waiting = self.waiting.get_mut(from);
        let waiting = waiting.ok_or(TrainError::NoRank { rank: from, ranks })?;
        match waiting.front() {
            Some(None) => Err(TrainError::RankEnded { rank: from }),
            Some(Some(_)) => Ok(waiting.pop_front().flatten()),
            None => Ok(None),
        }
    }
}

impl Communicator for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.to.len()
    }

    fn exchange(
        &mut self,
        messages: &[(usize, &[u8])],
        from: &[usize],
    ) -> Result<Vec<Vec<u8>>, TrainError> {
        for &(rank, bytes) in messages {
            self.send(rank, bytes.to_vec())?;
        }
        from.iter().map(|from| self.wait(*from, 0)).collect()
    }

    fn post(&mut self, to: usize, message: Vec<u8>) -> Result<(), TrainError> {
        self.send(to, message)
    }

    fn poll(&mut self, from: usize) -> Result<Option<Vec<u8>>, TrainError> {
        while self.hear(Instant::now()) {}
        self.next(from)
    }

    fn wait(&mut self, from: usize, round: usize) -> Result<Vec<u8>, TrainError> {
        let end = Instant::now() + patience(self.patience, round);
        loop {
            if let Some(message) = self.next(from)? {
                return Ok(message);
            }
            if !self.hear(end) {
                let seconds = self.patience.as_secs_f64();
                let rank = Some(from);
                return Err(TrainError::Silence { rank, seconds });
            }
        }
    }

    fn receive_any(&mut self) -> Result<(usize, Vec<u8>), TrainError> {
        let end = Instant::now() + self.patience;
        loop {
            for (rank, waiting) in self.waiting.iter_mut().enumerate() {
                match waiting.front() {
                    Some(Some(_)) => {
                        return Ok((rank, waiting.pop_front().flatten().unwrap_or_default()));
                    }
                    Some(None) => return Err(TrainError::RankEnded { rank }),
                    None => {}
                }
            }
            if !self.hear(end) {
                let seconds = self.patience.as_secs_f64();
                return Err(TrainError::Silence {
                    rank: None,
                    seconds,
                });
            }
        }
    }
}

impl Drop for ThreadRank {
    fn drop(&mut self) {
        for to in &self.to {
            // Whoever has ended needs no word.
            let _ = to.send((self.rank, None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_or_is_silent_is_named() {
        let mut ranks = thread_ranks(3).into_iter();
        let patience = Duration::from_millis(20);
        let mut first = ranks.next().unwrap().with_patience(patience);
        let second = ranks.next().unwrap();
        let error = first.exchange(&[], &[1]).unwrap_err().to_string();
        assert!(error.contains("rank 1 has sent nothing"), "{error}");
        let error = first.receive_any().unwrap_err().to_string();
        assert!(error.contains("no rank has sent anything"), "{error}");
        drop(second);
        let error = first.exchange(&[], &[1]).unwrap_err().to_string();
        assert!(error.contains("rank 1 has ended"), "{error}");
        assert!(first.exchange(&[(7, &[])], &[]).is_err());
    }

    #[test]
    fn messages_of_a_rank_stay_in_order() {
        let mut ranks = thread_ranks(2);
        let (mut second, mut first) = (ranks.pop().unwrap(), ranks.pop().unwrap());
        second.exchange(&[(0, b"a"), (0, b"b")], &[]).unwrap();
        assert_eq!(first.poll(1).unwrap().unwrap(), b"a");
        assert_eq!(first.receive_any().unwrap(), (1, b"b".to_vec()));
    }
}
