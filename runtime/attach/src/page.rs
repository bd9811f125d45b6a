//! Pages of hints: an agent's mailbox (the agent writes; gateway and supervisor read) and the recorder's page
//! (the recorder writes; kernel and supervisor read).
//!
//! A page is one sealed memory file of `PAGE_BYTES`. Its words are independent: a reader gets each word
//! whole, but no two words belong together, and nothing that an agent wrote is believed without a check.

use std::marker::PhantomData;
use std::os::fd::OwnedFd;

use bytemuck::{Pod, Zeroable};
use rsw_os::{OsError, memfd};
use rsw_schemas::page::{MailboxPage, PAGE_BYTES, RecorderPage};

use crate::mapping::WordMap;

/// The words of one kind of page.
pub trait PageWord: Copy {
    /// The POD that describes the page.
    type Page: Pod;
    /// Place of the word, counted in words.
    fn index(self) -> usize;
}

macro_rules! page_words {
    ($(#[$meta:meta])* $name:ident of $page:ident { $($variant:ident = $field:ident,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("See [`", stringify!($page), "::", stringify!($field), "`].")] $variant,)*
        }

        impl PageWord for $name {
            type Page = $page;
            fn index(self) -> usize {
                match self { $(Self::$variant => core::mem::offset_of!($page, $field) / 8,)* }
            }
        }
        const _: () = assert!(size_of::<$page>() <= PAGE_BYTES && size_of::<$page>() % 8 == 0);
    };
}

page_words! {
    /// Words of an agent's mailbox.
    MailboxWord of MailboxPage {
        HeartbeatMonoNs = heartbeat_mono_ns,
        Cursor = cursor,
        LostEvents = lost_events,
        MissedLoans = missed_loans,
        ReceivedEvents = received_events,
        Reports = reports,
        Generation = generation,
        Tick = tick,
        CsBits = cs_bits,
    }
}

page_words! {
    /// Words of the recorder's page.
    RecorderWord of RecorderPage {
        HeartbeatMonoNs = heartbeat_mono_ns,
        Drained = drained,
        Durable = durable,
        Recorded = recorded,
        Lost = lost,
        Generation = generation,
        Trouble = trouble,
        Spooled = spooled,
    }
}

/// Why a file is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The file has another size.
    #[error(
        "page file has {found} bytes, expected {PAGE_BYTES}; the peer is of another build, restart the swarm"
    )]
    Size {
        /// What `fstat` says.
        found: u64,
    },
    /// The file may still change its size, so that touching it could kill us.
    #[error(
        "page file lacks the seals shrink and grow; refuse the peer, it does not speak our protocol"
    )]
    Seals,
    /// The system refused something else.
    #[error("page file: {0}")]
    Os(#[from] OsError),
    /// The system refused the mapping.
    #[error("page file cannot be mapped {how}: {source}")]
    Map {
        /// Which way.
        how: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// An agent's mailbox, on the agent's side.
pub type Mailbox = PageWriter<MailboxWord>;
/// An agent's mailbox, on everybody else's side.
pub type MailboxReader = PageReader<MailboxWord>;
/// The recorder's page, on its own side.
pub type RecorderPageWriter = PageWriter<RecorderWord>;
/// The recorder's page, on everybody else's side.
pub type RecorderPageReader = PageReader<RecorderWord>;

/// The one writing side of a page. `Send + Sync`; stores are release stores.
#[derive(Debug)]
pub struct PageWriter<W> {
    map: WordMap,
    words: PhantomData<fn(W)>,
}

impl<W: PageWord> PageWriter<W> {
    /// A new page that nobody else can ever map writable, and a read-only descriptor of it for the readers.
    /// `name` shows up in `/proc/PID/maps`.
    pub fn create(name: &str) -> Result<(Self, OwnedFd), PageError> {
        let fd = memfd::create(name, PAGE_BYTES as u64)?;
        let writer = Self::map(&fd)?;
        memfd::seal_plane(&fd)?;
        let read_only = memfd::reopen_read_only(&fd)?;
        Ok((writer, read_only))
    }

    /// Takes the writing side of a page that another process made for us; see [`create_for_peer`].
    pub fn from_fd(fd: OwnedFd) -> Result<Self, PageError> {
        check(&fd)?;
        Self::map(&fd)
    }

    /// Publishes one word.
    pub fn store(&self, word: W, value: u64) {
        self.map.store(word.index(), value);
    }

    /// What the word holds now.
    pub fn load(&self, word: W) -> u64 {
        self.map.load(word.index())
    }

    fn map(fd: &OwnedFd) -> Result<Self, PageError> {
        let map = WordMap::read_write(fd)
            .map_err(|source| PageError::Map { how: "for writing", source })?;
        Ok(Self { map, words: PhantomData })
    }
}

/// A reading side of a page: a read-only mapping. `Send + Sync`; loads are acquire loads.
#[derive(Debug)]
pub struct PageReader<W> {
    map: WordMap,
    words: PhantomData<fn(W)>,
}

impl<W: PageWord> PageReader<W> {
    /// Maps a page read-only, whatever the descriptor would allow; checks size and seals first.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, PageError> {
        check(&fd)?;
        let map = WordMap::read_only(&fd)
            .map_err(|source| PageError::Map { how: "for reading", source })?;
        Ok(Self { map, words: PhantomData })
    }

    /// What the word holds now.
    pub fn load(&self, word: W) -> u64 {
        self.map.load(word.index())
    }

    /// Every word, each loaded once; no two of them belong together.
    pub fn snapshot(&self) -> W::Page {
        let mut page = W::Page::zeroed();
        let words: &mut [u64] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut page));
        for (index, word) in words.iter_mut().enumerate() {
            *word = self.map.load(index);
        }
        page
    }
}

/// A page that another process will write (an agent's mailbox): the size is sealed, the content is not.
/// The descriptor goes to the writer; keep a duplicate for a [`PageReader`].
pub fn create_for_peer(name: &str) -> Result<OwnedFd, PageError> {
    let fd = memfd::create(name, PAGE_BYTES as u64)?;
    memfd::seal_size(&fd)?;
    Ok(fd)
}

/// Size and seals: after this, touching any byte of the first page cannot raise SIGBUS, ever.
fn check(fd: &OwnedFd) -> Result<(), PageError> {
    if !memfd::seals(fd)?.has_size_seals() {
        return Err(PageError::Seals);
    }
    let found = memfd::size_bytes(fd)?;
    if found == PAGE_BYTES as u64 { Ok(()) } else { Err(PageError::Size { found }) }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
