//! What the recorder needs of the topology that the supervisor hands over; the document itself is stored whole.

use std::path::Path;

use serde::Deserialize;

/// The topology of one run: the document as it came, and the few values read from it.
#[derive(Debug, Clone)]
pub struct Topology {
    /// The JSON document.
    pub document: String,
    /// Every agent with a site.
    pub agents: Vec<Agent>,
    /// Ticks in one CI window.
    pub window_ticks: u64,
    /// Ticks from one stored field frame to the next; 0: only the last one.
    pub keyframe_ticks: u64,
}

/// One agent of the topology.
#[derive(Debug, Clone, Deserialize)]
pub struct Agent {
    /// From 1.
    pub agent_id: u32,
    /// Name.
    pub name: String,
    /// Key of its table in the swarm file.
    #[serde(default)]
    pub group: String,
    /// Cell x, y.
    #[serde(default)]
    pub site: Option<[u32; 2]>,
}

/// Why a topology cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The file cannot be read.
    #[error("topology {path} cannot be read: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not the document it should be.
    #[error(
        "topology {path} is not usable: {source}; `runtime up --dry-run --json` prints a good one"
    )]
    Parse {
        /// The file.
        path: String,
        /// Where and why.
        source: serde_json::Error,
    },
}

/// The parts of the document that matter here; what is absent has the swarm file's default.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    agents: Vec<Agent>,
    #[serde(default)]
    config: Config,
}

#[derive(Deserialize, Default)]
struct Config {
    #[serde(default)]
    recorder: Recorder,
}

#[derive(Deserialize)]
#[serde(default)]
struct Recorder {
    window_ticks: u64,
    keyframe_ticks: u64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { window_ticks: 128, keyframe_ticks: 500 }
    }
}

impl Topology {
    /// Reads and parses the file.
    ///
    /// # Errors
    /// [`TopologyError`], naming the file.
    pub fn read(path: &Path) -> Result<Self, TopologyError> {
        let name = path.display().to_string();
        let document = std::fs::read_to_string(path)
            .map_err(|source| TopologyError::Read { path: name.clone(), source })?;
        Self::parse(document).map_err(|source| TopologyError::Parse { path: name, source })
    }

    /// Parses the document.
    ///
    /// # Errors
    /// Where the JSON fails.
    pub fn parse(document: String) -> Result<Self, serde_json::Error> {
        let parsed: Document = serde_json::from_str(&document)?;
        Ok(Self {
            document,
            agents: parsed.agents,
            // A window of one tick has no statistics; two is the least that has any.
            window_ticks: parsed.config.recorder.window_ticks.max(2),
            keyframe_ticks: parsed.config.recorder.keyframe_ticks,
        })
    }

    /// The site of an agent, if it has one.
    pub fn site(&self, agent_id: u32) -> Option<[u32; 2]> {
        self.agents.iter().find(|agent| agent.agent_id == agent_id).and_then(|agent| agent.site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_needs_and_keeps_the_rest() {
        let text = r#"{"agents":[{"agent_id":1,"name":"a","group":"a","site":[3,4],"source":null}],
            "config":{"recorder":{"window_ticks":64,"mode":"observe"}},"project":"p"}"#;
        let topology = Topology::parse(text.to_owned()).unwrap();
        assert_eq!(topology.window_ticks, 64);
        assert_eq!(topology.keyframe_ticks, 500);
        assert_eq!(topology.site(1), Some([3, 4]));
        assert_eq!(topology.site(2), None);
        assert_eq!(topology.document, text);
        assert!(Topology::parse("{".to_owned()).is_err());
    }
}
