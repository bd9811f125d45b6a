//! Where each value of a configuration came from.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::NamedText;

/// Who said it. Later ones win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Nobody.
    Default,
    /// The demonstration swarm.
    Demo,
    /// `--drive`.
    Drive,
    /// The swarm file.
    File,
    /// `RSW__SECTION__KEY`.
    Environment,
    /// `--set`.
    Set,
    /// A flag of its own.
    Flag,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who said it.
    pub layer: Layer,
    /// In which text.
    pub file: Option<Arc<NamedText>>,
    /// Bytes of that text.
    pub span: Option<Range<usize>>,
}

impl Origin {
    /// A layer without a text to point into.
    pub(crate) fn layer(layer: Layer) -> Self {
        Self { layer, file: None, span: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.layer, &self.file, &self.span) {
            (Layer::Default, ..) => f.write_str("default"),
            (Layer::Demo, ..) => f.write_str("demonstration"),
            (Layer::File, Some(file), Some(span)) => {
                write!(f, "{}:{}", file.name, file.line_column(span.start).0)
            }
            (_, Some(file), _) => f.write_str(&file.name),
            (Layer::Drive, None, _) => f.write_str("--drive"),
            (layer, None, _) => write!(f, "{layer:?}"),
        }
    }
}

/// The origin of every key that is not a default, by its path, such as `agent.watcher.replicas`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Who set this key; [`Layer::Default`] where nobody did.
    pub fn get(&self, path: &str) -> Origin {
        self.0.get(path).cloned().unwrap_or_else(|| Origin::layer(Layer::Default))
    }

    /// Whether a person (not a default, the demonstration or a recording) set this key.
    pub fn is_set(&self, path: &str) -> bool {
        self.get(path).layer >= Layer::File
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    pub(crate) fn insert(&mut self, path: String, origin: Origin) {
        self.0.insert(path, origin);
    }

    pub(crate) fn insert_first(&mut self, path: String, origin: Origin) {
        self.0.entry(path).or_insert(origin);
    }

    /// Where to point for a key: its value, else the table it belongs to.
    pub(crate) fn nearest(&self, path: &str) -> Origin {
        let mut rest = path;
        loop {
            if let Some(origin) = self.0.get(rest).filter(|origin| origin.file.is_some()) {
                return origin.clone();
            }
            match rest.rfind('.') {
                Some(dot) => rest = &rest[..dot],
                None => return self.get(path),
            }
        }
    }
}
