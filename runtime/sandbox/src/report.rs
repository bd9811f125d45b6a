//! What the launcher tells the supervisor: one JSON line per event, then the end of the pipe.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of the launcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The policy is in force; the program is about to run.
    Applied(Applied),
    /// The program does not run; this is why.
    Failed(String),
}

/// What is in force for a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The version of Landlock that is used, if it is.
    pub landlock_abi: Option<i32>,
    /// How many system calls the filter allows, some only with certain arguments; 0: no filter.
    pub seccomp_rules: usize,
    /// True if no `exec` can raise its rights.
    pub no_new_privs: bool,
    /// The limits set, by the name `getrlimit(2)` gives them.
    pub rlimits: BTreeMap<String, u64>,
    /// What this machine could not give, or what to know about what it gave.
    pub notes: Vec<String>,
}

/// Why a launcher's report says that no program runs.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The launcher said so.
    #[error("the launcher could not start the program: {0}")]
    Failed(String),
    /// The launcher ended without a word.
    #[error("the launcher ended before it applied the policy; its stderr may say why")]
    Silent,
    /// Something else wrote to the pipe.
    #[error("the launcher's report cannot be understood: {0}")]
    Garbled(#[from] serde_json::Error),
}

impl Applied {
    /// What is in force according to everything that was read from the report pipe up to its end.
    pub fn from_report(bytes: &[u8]) -> Result<Applied, ReportError> {
        let mut found = None;
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line)? {
                Report::Applied(applied) => found = Some(applied),
                Report::Failed(why) => return Err(ReportError::Failed(why)),
            }
        }
        found.ok_or(ReportError::Silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_after_applying_wins() {
        let applied = serde_json::to_string(&Report::Applied(Applied::default())).unwrap();
        let failed = serde_json::to_string(&Report::Failed("no such program".into())).unwrap();
        assert!(Applied::from_report(format!("{applied}\n").as_bytes()).is_ok());
        let both = format!("{applied}\n{failed}\n");
        assert!(matches!(Applied::from_report(both.as_bytes()), Err(ReportError::Failed(_))));
        assert!(matches!(Applied::from_report(b""), Err(ReportError::Silent)));
        assert!(matches!(Applied::from_report(b"hello\n"), Err(ReportError::Garbled(_))));
    }
}
