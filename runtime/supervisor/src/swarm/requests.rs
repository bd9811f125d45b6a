//! What the command line asks of a running swarm.

use std::time::Duration;

use rsw_schemas::exit;
use serde_json::{Value as Json, json};

use super::child::Role;
use super::{Swarm, launch};
use crate::control::Answer;
use crate::view::error::CliError;

impl Swarm {
    pub(super) fn on_client(&mut self, client: usize) {
        if let Some(request) = self.server.request(client) {
            let answer = match request {
                Ok(request) => {
                    if request["op"] == "stop" {
                        self.server.awaits_end(client);
                    }
                    self.answer(&request)
                }
                Err(error) => {
                    Err(CliError::new(exit::USAGE, "request", format!("not a request: {error}")))
                }
            };
            let answer =
                answer.unwrap_or_else(|error| Answer { body: error.to_json(), fds: Vec::new() });
            self.server.answer(client, answer);
        }
    }

    fn answer(&mut self, request: &Json) -> Result<Answer, CliError> {
        let plain = |body: Json| Answer { body, fds: Vec::new() };
        match request["op"].as_str() {
            Some("ps") => Ok(plain(self.ps())),
            Some("status") => Ok(plain(self.status().json())),
            Some("plane") => Ok(self.plane_answer()),
            Some("stop") => {
                let grace_s = request["grace_s"].as_f64().unwrap_or(5.0).clamp(0.0, 3600.0);
                self.begin_stop(Duration::from_secs_f64(grace_s));
                Ok(plain(json!({"stopping": true})))
            }
            other => {
                Err(CliError::new(exit::USAGE, "request", format!("unknown request {other:?}"))
                    .hint("run programs of one build"))
            }
        }
    }

    /// The document of `runtime ps --json`.
    pub(crate) fn ps(&self) -> Json {
        let processes: Vec<Json> = self.processes().into_iter().map(|row| row.0).collect();
        json!({
            "schema": "rsw.ps/1",
            "project": self.project.name,
            "folder": self.project.folder,
            "supervisor_pid": std::process::id(),
            "run": launch::run_id_text(&self.run_id),
            "run_dir": self.project.run_dir,
            "socket": self.project.socket_path(),
            "recording": self.child(Role::Recorder).map(|_| self.recording_dir()),
            "cores": self.cores.json(),
            "plane": self.plane_json(),
            "ring": self.ring_json(),
            "processes": processes,
        })
    }

    fn plane_answer(&self) -> Answer {
        let Some(plane) = self.planes.current() else {
            return Answer { body: json!({"live": false}), fds: Vec::new() };
        };
        Answer {
            body: json!({
                "live": !plane.has_ended(),
                "generation": plane.note().generation,
                "resumed_tick": plane.ready.resumed_tick.to_string(),
            }),
            fds: plane.open().into_iter().collect(),
        }
    }
}
