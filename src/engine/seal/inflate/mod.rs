//! Inflates on several threads what has restart points.
//!
//! A mark ([`MARK`](super::deflate::MARK)) in the compressed bytes says, perhaps, that a block begins there which refers to
//! nothing before it. The stretches between marks are inflated side by side, and used in order: a stretch only if the
//! one before ended exactly at its mark, between two blocks. So the marks are not believed, and what comes out is what one
//! thread makes of the same bytes: from the first stretch on of which that is not known, one thread does. Streams
//! without marks, and whatever is damaged, go that way from the beginning. docs/format.md, "Restart points".

mod source;
mod stretch;

use self::source::{Source, Stretch};
use self::stretch::{Ending, Inflater};
use super::deflate::MARK;
use crate::engine::ahead::{Permit, Permits};
use crate::engine::error::{Error, ErrorKind};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use flate2::{Decompress, FlushDecompress, Status};
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::thread::JoinHandle;

/// How far a block may refer back.
const WINDOW_BYTES: usize = 32 * 1024;

/// Who may inflate on several threads: how many threads a stream gets, and how many streams at a time.
#[derive(Clone)]
pub(super) struct Crew {
    threads: usize,
    streams: Permits,
}

impl Crew {
    /// One stream at a time gets so many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads,
            streams: Permits::new(1),
        }
    }
}

/// Reads a raw deflate stream. After its end the rest of the input can be read with [`rest`](Self::rest).
pub(super) struct Inflate<R> {
    source: Source<R>,
    state: State,
    /// The end of what was inflated, while it may be needed.
    window: Vec<u8>,
    checksum: Option<crc32fast::Hasher>,
    /// Makes the error for damage, of which it is told what it is.
    damaged: fn(&str) -> io::Error,
}

enum State {
    /// Nothing was read yet.
    New(Option<Crew>),
    SideBySide(SideBySide),
    /// On the reader's own thread.
    Alone(Box<Decompress>),
    Ended,
}

impl<R: Read> Inflate<R> {
    /// Reads the stream `input` begins with; on the reader's own thread without a crew.
    pub(super) fn new(input: R, crew: Option<Crew>, damaged: fn(&str) -> io::Error) -> Self {
        Self {
            source: Source::new(input),
            state: State::New(crew),
            window: Vec::new(),
            checksum: None,
            damaged,
        }
    }

    /// Reads a zlib stream instead (RFC 1950), on the reader's own thread.
    pub(super) fn zlib(input: R, damaged: fn(&str) -> io::Error) -> Self {
        Self {
            state: State::Alone(Box::new(Decompress::new(true))),
            ..Self::new(input, None, damaged)
        }
    }

    /// Reads from the first mark in `input` on, as if the stream began behind it; tells where it stands. `None` if there is no
    /// mark within reach. Whether it is one, nobody has checked.
    pub(super) fn from_mark(input: R, damaged: fn(&str) -> io::Error) -> Option<(u64, Self)> {
        let mut source = Source::new(input);
        let Stretch::Marked(before) = source.stretch(Vec::new()) else {
            return None;
        };
        let at = before.len().saturating_sub(MARK.len());
        let inflate = Self {
            source,
            state: alone(&[]),
            window: Vec::new(),
            checksum: None,
            damaged,
        };
        Some((at as u64, inflate))
    }

    /// Computes the CRC-32 of what is inflated, too.
    pub(super) fn with_checksum(mut self) -> Self {
        self.checksum = Some(crc32fast::Hasher::new());
        self
    }

    /// CRC-32 of what was inflated so far, if it was to be computed.
    pub(super) fn checksum(&self) -> Option<u32> {
        self.checksum.clone().map(crc32fast::Hasher::finalize)
    }

    /// What follows the stream, once it was read to its end.
    pub(super) fn rest(&mut self) -> &mut (impl BufRead + use<R>) {
        &mut self.source
    }

    /// What follows the stream, for good.
    pub(super) fn into_rest(self) -> impl BufRead + use<R> {
        self.source
    }

    fn start(&mut self, crew: Option<Crew>) {
        self.state = alone(&[]);
        // Only who has marks takes the threads from others.
        if let Some(crew) = crew.filter(|crew| crew.threads > 1)
            && let Stretch::Marked(first) = self.source.stretch(Vec::new())
        {
            let permit = crew.streams.take();
            let checksum = self.checksum.is_some();
            match permit.and_then(|permit| SideBySide::start(crew.threads, permit, checksum)) {
                Some(mut work) => {
                    work.submit(first);
                    self.state = State::SideBySide(work);
                }
                None => self.source.put_back(&[&first]),
            }
        }
    }

    /// Makes the content of the next stretch the one that is handed out, or goes on alone.
    fn next_stretch(&mut self) -> io::Result<()> {
        let State::SideBySide(work) = &mut self.state else {
            return Ok(());
        };
        while work.has_room() {
            match self.source.stretch(work.spare_stretch()) {
                Stretch::Marked(stretch) => work.submit(stretch),
                Stretch::Unmarked => break,
            }
        }
        let Some(done) = work.oldest()? else {
            // What is left has no mark.
            self.state = alone(&self.window);
            return Ok(());
        };
        let used = match done.ending {
            Ending::AtMark => done.stretch.len(),
            Ending::Last(read) => read,
            Ending::Unknown => 0,
        };
        if done.ending != Ending::AtMark {
            // Whatever follows was inflated in vain.
            let mut back = vec![done.stretch.get(used..).unwrap_or_default().to_vec()];
            while let Some(next) = work.oldest()? {
                back.push(next.stretch);
            }
            self.source.put_back(&back);
        }
        if done.ending == Ending::Unknown {
            self.state = alone(&self.window);
            return Ok(());
        }
        if let (Some(all), Some(new)) = (&mut self.checksum, &done.checksum) {
            all.combine(new);
        }
        keep_window(&mut self.window, &done.plain);
        work.is_last = done.ending != Ending::AtMark;
        work.hand_out(done);
        Ok(())
    }
}

/// Goes on behind `window`.
fn alone(window: &[u8]) -> State {
    let mut codec = Decompress::new(false);
    if !window.is_empty() && codec.set_dictionary(window).is_err() {
        // What refers to it is an error then, never wrong data.
        codec.reset(false);
    }
    State::Alone(Box::new(codec))
}

/// Keeps the last bytes of `window` followed by `plain`.
fn keep_window(window: &mut Vec<u8>, plain: &[u8]) {
    let tail = plain.get(plain.len().saturating_sub(WINDOW_BYTES)..);
    let tail = tail.unwrap_or_default();
    let surplus = (window.len() + tail.len()).saturating_sub(WINDOW_BYTES);
    window.drain(..surplus.min(window.len()));
    window.extend_from_slice(tail);
}

impl<R: Read> Read for Inflate<R> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.state {
                State::Ended => return Ok(0),
                State::New(crew) => {
                    let crew = crew.take();
                    self.start(crew);
                }
                State::SideBySide(work) => match work.read(data) {
                    0 if work.is_last => self.state = State::Ended,
                    0 => self.next_stretch()?,
                    n => return Ok(n),
                },
                State::Alone(codec) => {
                    let input = self.source.fill_buf()?;
                    let is_last = input.is_empty();
                    let (read, written) = (codec.total_in(), codec.total_out());
                    let status = codec.decompress(input, data, FlushDecompress::None);
                    let n = (codec.total_out() - written) as usize;
                    self.source.consume((codec.total_in() - read) as usize);
                    if let Some(checksum) = &mut self.checksum {
                        checksum.update(data.get(..n).unwrap_or_default());
                    }
                    match status {
                        Ok(Status::StreamEnd) => self.state = State::Ended,
                        // What came before an error is handed out first; the codec does not forget it.
                        Err(_) if n == 0 => {
                            let how = "its compressed data cannot be inflated";
                            return Err((self.damaged)(how));
                        }
                        _ if n == 0 && is_last => return Err((self.damaged)("it is cut off")),
                        _ => {}
                    }
                    if n > 0 {
                        return Ok(n);
                    }
                }
            }
        }
    }
}

/// A stretch to inflate, with a buffer for its content.
struct Job {
    stretch: Vec<u8>,
    plain: Vec<u8>,
    reply: Sender<Done>,
}

/// A stretch that was inflated.
struct Done {
    stretch: Vec<u8>,
    plain: Vec<u8>,
    ending: Ending,
    checksum: Option<crc32fast::Hasher>,
}

/// Threads that inflate stretches ahead. Dropped, they come to their end.
struct SideBySide {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    /// Stretches in work, oldest first.
    ring: VecDeque<Receiver<Done>>,
    /// What is being handed out, and how much of it was.
    plain: Vec<u8>,
    position: usize,
    /// Whether the stream ends behind it.
    is_last: bool,
    spare_stretches: Vec<Vec<u8>>,
    spare_plain: Vec<Vec<u8>>,
    _permit: Permit,
}

impl SideBySide {
    /// `None` if no thread can be had.
    fn start(threads: usize, permit: Permit, checksum: bool) -> Option<Self> {
        let (jobs, queue) = unbounded();
        let threads = (0..threads).filter_map(|_| {
            let queue = queue.clone();
            let thread = std::thread::Builder::new().name("dupr-inflate".into());
            thread.spawn(move || inflate_all(&queue, checksum)).ok()
        });
        let threads: Vec<_> = threads.collect();
        (!threads.is_empty()).then(|| Self {
            jobs: Some(jobs),
            threads,
            ring: VecDeque::new(),
            plain: Vec::new(),
            position: 0,
            is_last: false,
            spare_stretches: Vec::new(),
            spare_plain: Vec::new(),
            _permit: permit,
        })
    }

    /// One stretch for each thread and one that waits: with their content, this bounds the memory.
    fn has_room(&self) -> bool {
        self.ring.len() <= self.threads.len()
    }

    fn spare_stretch(&mut self) -> Vec<u8> {
        self.spare_stretches.pop().unwrap_or_default()
    }

    fn submit(&mut self, stretch: Vec<u8>) {
        let (reply, answer) = bounded(1);
        let plain = self.spare_plain.pop().unwrap_or_default();
        if let Some(jobs) = &self.jobs {
            // If nobody is there to take it, nobody answers.
            let _ = jobs.send(Job {
                stretch,
                plain,
                reply,
            });
        }
        self.ring.push_back(answer);
    }

    /// Waits for the oldest stretch in work, if there is one.
    fn oldest(&mut self) -> io::Result<Option<Done>> {
        let Some(answer) = self.ring.pop_front() else {
            return Ok(None);
        };
        let lost = |_| Error::new(ErrorKind::Internal, "a thread for inflating ended early");
        Ok(Some(answer.recv().map_err(lost)?))
    }

    fn hand_out(&mut self, done: Done) {
        let used = std::mem::replace(&mut self.plain, done.plain);
        self.position = 0;
        self.spare_plain.push(used);
        self.spare_stretches.push(done.stretch);
    }

    fn read(&mut self, data: &mut [u8]) -> usize {
        let left = self.plain.get(self.position..).unwrap_or_default();
        let n = left.len().min(data.len());
        data[..n].copy_from_slice(&left[..n]);
        self.position += n;
        n
    }
}

impl Drop for SideBySide {
    fn drop(&mut self) {
        // The threads find the queue closed.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A thread: inflates stretches until there are no more.
fn inflate_all(jobs: &Receiver<Job>, checksum: bool) {
    let mut inflater = Inflater::new();
    for Job {
        stretch,
        mut plain,
        reply,
    } in jobs
    {
        let ending = inflater.inflate(&stretch, &mut plain);
        let checksum = checksum.then(|| {
            let mut checksum = crc32fast::Hasher::new();
            checksum.update(&plain);
            checksum
        });
        // A reader that is gone misses nothing.
        let _ = reply.send(Done {
            stretch,
            plain,
            ending,
            checksum,
        });
    }
}

#[cfg(test)]
mod tests;
