//! iceoryx2 publish-subscribe as it comes: its own names below `/dev/shm`, one service each way, polled.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::{
    AllocationStrategy, Config, FileName, LogLevel, Path, SemanticString, ServiceName,
    SignalHandlingMode, ZeroCopySend, ipc, set_log_level,
};
use iceoryx2::service::Service;

use super::{End, value_of};
use crate::Failure;
use crate::pair::Patience;

static DOMAINS: AtomicU64 = AtomicU64::new(0);

/// Names of a domain that no other program has; made before the fork, so that both sides agree.
#[derive(Clone)]
pub(crate) struct Domain(Arc<Names>);

struct Names {
    prefix: String,
    root: tempfile::TempDir,
}

impl Drop for Names {
    /// iceoryx2 keeps a node counter for each prefix for ever; nobody else knows this one.
    fn drop(&mut self) {
        for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(self.prefix.as_bytes()) {
                // What cannot be removed is a few hundred bytes that the next start of the machine removes.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Domain {
    /// A fresh one.
    pub(crate) fn new() -> Result<Self, Failure> {
        let number = DOMAINS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("rswbench{}_{number}_", std::process::id());
        Ok(Self(Arc::new(Names { prefix, root: tempfile::tempdir()? })))
    }

    /// A node of this process.
    pub(crate) fn node<S: Service>(&self) -> Result<Node<S>, Failure> {
        set_log_level(LogLevel::Error);
        let mut config = Config::default();
        config.global.prefix = FileName::new(self.0.prefix.as_bytes())
            .map_err(|error| format!("prefix {}: {error:?}", self.0.prefix))?;
        let root = self.0.root.path().as_os_str().as_encoded_bytes();
        config.global.set_root_path(&Path::new(root).map_err(|error| format!("root: {error:?}"))?);
        Ok(NodeBuilder::new()
            .config(&config)
            .signal_handling_mode(SignalHandlingMode::Disabled)
            .create::<S>()?)
    }
}

/// One end: both ports, and the node they belong to.
pub(crate) struct Iox {
    publisher: Publisher<ipc::Service, [u64], ()>,
    subscriber: Subscriber<ipc::Service, [u64], ()>,
    words: usize,
    _node: Node<ipc::Service>,
}

/// What a message is made of; its alignment is the message's.
pub(crate) trait Element: ZeroCopySend + Copy + Debug + From<u64> + 'static {}

impl Element for u64 {}

/// A cache line, the alignment of our loans.
#[derive(Debug, Clone, Copy, ZeroCopySend)]
#[repr(C)]
#[repr(align(64))]
pub(crate) struct Line([u64; 8]);

impl From<u64> for Line {
    fn from(value: u64) -> Self {
        Self([value; 8])
    }
}

impl Element for Line {}

/// A publisher of `name` with messages of `len` elements.
pub(crate) fn publisher<S: Service, E: Element>(
    node: &Node<S>,
    name: &str,
    len: usize,
) -> Result<Publisher<S, [E], ()>, Failure> {
    let service = node
        .service_builder(&ServiceName::new(name)?)
        .publish_subscribe::<[E]>()
        .enable_safe_overflow(true)
        .open_or_create()?;
    Ok(service
        .publisher_builder()
        .initial_max_slice_len(len)
        .allocation_strategy(AllocationStrategy::Static)
        .create()?)
}

/// A subscriber of `name`.
pub(crate) fn subscriber<S: Service, E: Element>(
    node: &Node<S>,
    name: &str,
) -> Result<Subscriber<S, [E], ()>, Failure> {
    let service = node
        .service_builder(&ServiceName::new(name)?)
        .publish_subscribe::<[E]>()
        .enable_safe_overflow(true)
        .open_or_create()?;
    Ok(service.subscriber_builder().create()?)
}

/// This process's end; `side` 0 or 1. Call it after the fork, then [`Iox::meet`].
pub(crate) fn end(domain: &Domain, side: usize, words: usize) -> Result<Iox, Failure> {
    let node = domain.node()?;
    let names = ["there", "back"];
    Ok(Iox {
        publisher: publisher(&node, names[side], words)?,
        subscriber: subscriber(&node, names[1 - side])?,
        words,
        _node: node,
    })
}

impl Iox {
    /// Sends until the other side, which may only now be coming up, answers.
    pub(crate) fn meet(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            self.send(1);
            std::thread::sleep(Duration::from_millis(1));
            if self.subscriber.receive()?.is_some() {
                // Greetings that are still on their way are answered too.
                std::thread::sleep(Duration::from_millis(20));
                while self.subscriber.receive()?.is_some() {}
                return Ok(());
            }
        }
        Err("the two iceoryx2 processes did not find each other within 10 s".into())
    }
}

impl End for Iox {
    #[inline(always)]
    fn send(&mut self, value: u64) {
        let loan = self.publisher.loan_slice_uninit(self.words).expect("a free loan");
        loan.write_from_fn(|_| value).send().expect("the other side is there");
    }

    #[inline(always)]
    fn receive(&mut self) -> u64 {
        let mut patience = Patience::new();
        loop {
            if let Some(sample) = self.subscriber.receive().expect("the other side is there") {
                return value_of(sample.payload());
            }
            patience.look();
        }
    }
}
