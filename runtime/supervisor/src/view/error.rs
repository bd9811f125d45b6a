//! The error of a command: an exit code, a word for programs, a message and the next step for people.

use std::fmt;

use miette::Diagnostic;
use rsw_config::{ConfigErrors, nearest};
use rsw_schemas::exit;
use serde_json::{Value, json};

use super::diagnostic::Report;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct CliError {
    /// Exit code, one of [`rsw_schemas::exit`].
    pub(crate) code: u8,
    /// The same for every failure of this kind, such as `not-running`.
    pub(crate) what: &'static str,
    /// The object and the reason.
    pub(crate) message: String,
    /// The next command, or the way out.
    pub(crate) hint: Option<String>,
    /// The single errors of a bad configuration.
    pub(crate) details: Vec<Report>,
}

impl CliError {
    /// An error without a hint.
    pub(crate) fn new(code: u8, what: &'static str, message: impl Into<String>) -> Self {
        Self { code, what, message: message.into(), hint: None, details: Vec::new() }
    }

    /// With the next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Something that is not there: `kind` is the class of things ("agent"), `known` their names.
    pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> Self {
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("there is no {kind} at all"),
            None => format!("known: {}", known.join(", ")),
        };
        Self::new(exit::NOT_FOUND, "not-found", format!("there is no {kind} `{name}`")).hint(hint)
    }

    /// A bad configuration with all of its errors.
    pub(crate) fn config(errors: ConfigErrors) -> Self {
        let count = errors.diagnostics.len();
        let message = match errors.diagnostics.as_slice() {
            [only] => format!("bad configuration: {}: {}", only.key, only.message),
            _ => format!("bad configuration: {count} errors"),
        };
        let hint = "`runtime validate` checks without starting anything";
        let error = Self::new(exit::CONFIG, "bad-configuration", message).hint(hint);
        Self { details: Report::all(errors), ..error }
    }

    /// `{"error":{"code","message","hint"}}`; a bad configuration adds `diagnostics`.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.what, "message": self.message, "hint": self.hint });
        if !self.details.is_empty() {
            error["diagnostics"] = self.details.iter().map(Report::to_json).collect();
        }
        json!({ "error": error })
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl Diagnostic for CliError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.what))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.details.is_empty() {
            return None;
        }
        Some(Box::new(self.details.iter().map(|report| report as &dyn Diagnostic)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::render;
    use super::*;

    #[test]
    fn unknown_names_get_the_nearest() {
        let error = CliError::unknown("agent", "wacher-1", &["watcher-1", "watcher-2"]);
        assert_eq!((error.code, error.what), (4, "not-found"));
        assert_eq!(
            error.to_json().to_string(),
            r#"{"error":{"code":"not-found","hint":"did you mean `watcher-1`?","message":"there is no agent `wacher-1`"}}"#
        );
        assert_eq!(CliError::unknown("field", "x", &[]).hint.unwrap(), "there is no field at all");
    }

    #[test]
    fn a_bad_configuration_draws_every_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("swarm.toml"), "[field]\nsize = [0, 1]\ndt = -1\n")
            .unwrap();
        let errors = rsw_config::load(rsw_config::Source::in_folder(folder.path())).unwrap_err();
        let error = CliError::config(errors);
        assert_eq!(error.to_json()["error"]["diagnostics"][1]["key"], "field.dt");
        assert_eq!(error.to_json()["error"]["diagnostics"][0]["line"], 2);
        let text = render(&error, false, 100);
        for part in ["2 errors", "swarm.toml:2:9", "swarm.toml:3:6", "-1 is not above 0"] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }
}
