//! The kernel's own: a unix socket (sequenced packets) and a pipe, blocking, one system call a message and side.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use super::{End, WORDS_MAX, value_of};
use crate::Failure;

/// One end: a file to write, a file to read.
pub(crate) struct Stream {
    writes: File,
    reads: File,
    words: usize,
}

/// Both ends of a socket pair.
pub(crate) fn socket_pair(words: usize) -> Result<[Stream; 2], Failure> {
    let (one, two) = rsw_os::packet::pair()?;
    let stream = |end: &OwnedFd| -> Result<Stream, Failure> {
        Ok(Stream { writes: end.try_clone()?.into(), reads: end.try_clone()?.into(), words })
    };
    for end in [&one, &two] {
        // Made non-blocking for the gateway's loop; here each side waits for the other.
        rustix::fs::fcntl_setfl(end, rustix::fs::OFlags::empty())?;
    }
    Ok([stream(&one)?, stream(&two)?])
}

/// Both ends of two pipes.
pub(crate) fn pipe_pair(words: usize) -> Result<[Stream; 2], Failure> {
    let [(a, b), (c, d)] = [std::io::pipe()?, std::io::pipe()?];
    let file = |end: OwnedFd| File::from(end);
    Ok([
        Stream { writes: file(b.into()), reads: file(c.into()), words },
        Stream { writes: file(d.into()), reads: file(a.into()), words },
    ])
}

impl End for Stream {
    fn send(&mut self, value: u64) {
        let message = [value; WORDS_MAX];
        let bytes = bytemuck::cast_slice(&message[..self.words]);
        let sent = self.writes.write(bytes).expect("the other side reads");
        assert!(sent == bytes.len(), "a message went in pieces");
    }

    fn receive(&mut self) -> u64 {
        let mut message = [0u64; WORDS_MAX];
        let message = &mut message[..self.words];
        self.reads.read_exact(bytemuck::cast_slice_mut(message)).expect("the other side writes");
        value_of(message)
    }
}
